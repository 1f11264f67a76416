# Python: a sum of fractions, words in a dictionary, a regular sort.
lines=$(about 200)
check python "1.644934 ('the', $((2 * lines))) $((44 * lines))" "$(python3.11 -I -S -c '
import sys
lines = int(sys.argv[1])
n = 100 * lines
s = 1.0 / (n - 0.5)
for i in range(1, n):
    s += 1.0 / (i * i)
text = "the quick brown fox jumps over the lazy dog " * lines
words = {}
for word in text.split():
    words[word] = words.get(word, 0) + 1
most = sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))[0]
print("%.6f" % s, most, len(text.upper().replace("FOX", "cat")))' $lines)"
