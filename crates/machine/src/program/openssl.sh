# OpenSSL: two ciphers and a hash over the same text.
seq 1 20000 >data
check aes-256-ctr fb42608ad31910b8b3205d7f825142e6 \
    "$(openssl enc -aes-256-ctr -K 00 -iv 00 -in data 2>/dev/null | md5)"
check chacha20 b536a45eb8418855723b2ce218f8bf08 \
    "$(openssl enc -chacha20 -K 00 -iv 00 -in data 2>/dev/null | md5)"
check sha256 "SHA2-256(data)= f6351f5ead9a700e34275480b3856ea738122a7c57bdeb744a631251c069587a" \
    "$(openssl dgst -sha256 data)"
