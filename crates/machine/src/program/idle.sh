# Nothing, for a second of the guest's time.
usleep 1000000
