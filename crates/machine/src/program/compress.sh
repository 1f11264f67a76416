# Three compressors: there and back. The paths say that these are not busybox's.
first=$((seed % 1000))
seq $first $((first + $(about 4000))) >data
sum=$(md5 <data)
zstd -q -f data -o data.zst
check zstd $sum "$(zstd -q -d -c data.zst | md5)"
/usr/bin/xz -1 -k -f data
check xz $sum "$(/usr/bin/xz -d -c data.xz | md5)"
/bin/gzip -k -f data
check gzip $sum "$(/bin/gzip -d -c data.gz | md5)"
