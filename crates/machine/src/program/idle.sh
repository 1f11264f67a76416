# Nothing, for a second of the guest's time.
usleep $(about 1000000)
