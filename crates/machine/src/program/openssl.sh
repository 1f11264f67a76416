# OpenSSL: two ciphers there and back, and a hash, over the same text.
first=$((seed % 1000))
seq $first $((first + $(about 20000))) >data
sum=$(md5 <data)
for cipher in aes-256-ctr chacha20; do
    openssl enc -$cipher -K 00 -iv 00 -in data -out secret 2>/dev/null
    check $cipher $sum "$(openssl enc -d -$cipher -K 00 -iv 00 -in secret 2>/dev/null | md5)"
done
check sha256 "SHA2-256(data)= $(sha256sum data | cut -d ' ' -f 1)" "$(openssl dgst -sha256 data)"
