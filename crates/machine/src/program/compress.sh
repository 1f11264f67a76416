# Three compressors: there and back. The paths say that these are not busybox's.
seq 1 4000 >data
zstd -q -f data -o data.zst
check zstd fe5b8755020ef9b07c59dc335e32b4a1 "$(zstd -q -d -c data.zst | md5)"
/usr/bin/xz -1 -k -f data
check xz fe5b8755020ef9b07c59dc335e32b4a1 "$(/usr/bin/xz -d -c data.xz | md5)"
/bin/gzip -k -f data
check gzip fe5b8755020ef9b07c59dc335e32b4a1 "$(/bin/gzip -d -c data.gz | md5)"
