# Python: a sum of fractions, words in a dictionary, a regular sort.
check python "1.6448840656 ('the', 400) 8800" "$(python3.11 -I -S -c '
s = 0.0
for i in range(1, 20000):
    s += 1.0 / (i * i)
text = "the quick brown fox jumps over the lazy dog " * 200
words = {}
for word in text.split():
    words[word] = words.get(word, 0) + 1
most = sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))[0]
print("%.10f" % s, most, len(text.upper().replace("FOX", "cat")))')"
