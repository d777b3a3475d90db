package basic

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// shaCrypt is a $5$ (SHA-256) or $6$ (SHA-512) hash, by U. Drepper's
// "Unix crypt using SHA-256 and SHA-512", version 0.6.
type shaCrypt struct {
	new    func() hash.Hash
	order  []byte // the digest's bytes, in the order they are written in
	salt   string
	rounds int
	want   string
}

const (
	shaRounds    = 5000
	minSHARounds = 1000
	maxSHARounds = 200_000 // about 100 ms
	maxSHASalt   = 16
)

func newSHACrypt(text string) (verifier, error) {
	h := &shaCrypt{new: sha256.New, order: order256[:], rounds: shaRounds}
	if text[1] == '6' {
		h.new, h.order = sha512.New, order512[:]
	}
	rest := text[3:]
	if r, ok := strings.CutPrefix(rest, "rounds="); ok {
		number, after, _ := strings.Cut(r, "$")
		n, err := strconv.Atoi(number)
		if err != nil || n < minSHARounds || n > maxSHARounds {
			return nil, fmt.Errorf("SHA-crypt rounds=%s; use %d to %d", number, minSHARounds, maxSHARounds)
		}
		h.rounds, rest = n, after
	}
	var ok bool
	h.salt, h.want, ok = strings.Cut(rest, "$")
	if !ok || len(h.want) != (len(h.order)*8+5)/6 {
		return nil, errors.New("a SHA-crypt hash reads $6$salt$hash; this one is cut off")
	}
	h.salt = h.salt[:min(len(h.salt), maxSHASalt)]
	return h, nil
}

func (h *shaCrypt) verify(password []byte) bool {
	return subtle.ConstantTimeCompare([]byte(h.digest(password)), []byte(h.want)) == 1
}

// digest follows the steps of the specification, whose letters it keeps.
func (h *shaCrypt) digest(password []byte) string {
	salt := []byte(h.salt)
	sum := func(parts ...[]byte) []byte {
		d := h.new()
		for _, p := range parts {
			d.Write(p)
		}
		return d.Sum(nil)
	}
	b := sum(password, salt, password)
	a := [][]byte{password, salt, repeat(b, len(password))}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			a = append(a, b)
		} else {
			a = append(a, password)
		}
	}
	c := sum(a...)
	var dp, ds [][]byte
	for range len(password) {
		dp = append(dp, password)
	}
	for range 16 + int(c[0]) {
		ds = append(ds, salt)
	}
	p, s := repeat(sum(dp...), len(password)), repeat(sum(ds...), len(salt))
	d := h.new()
	for i := range h.rounds {
		d.Reset()
		first, last := c, p
		if i&1 != 0 {
			first, last = p, c
		}
		d.Write(first)
		if i%3 != 0 {
			d.Write(s)
		}
		if i%7 != 0 {
			d.Write(p)
		}
		d.Write(last)
		c = d.Sum(c[:0])
	}
	return encode(c, h.order)
}

// repeat writes b over and over until there are n bytes.
func repeat(b []byte, n int) []byte {
	out := make([]byte, 0, n+len(b))
	for len(out) < n {
		out = append(out, b...)
	}
	return out[:n]
}

// encode writes the digest in crypt's base 64, three bytes at a time.
func encode(digest, order []byte) string {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var out []byte
	for i := 0; i < len(order); i += 3 {
		group := order[i:min(i+3, len(order))]
		var w uint32
		for _, at := range group {
			w = w<<8 | uint32(digest[at])
		}
		for range len(group) + 1 {
			out = append(out, alphabet[w&63])
			w >>= 6
		}
	}
	return string(out)
}

var order256 = [32]byte{0, 10, 20, 21, 1, 11, 12, 22, 2, 3, 13, 23, 24, 4, 14, 15, 25, 5, 6, 16, 26, 27, 7, 17, 18, 28, 8, 9, 19, 29, 31, 30}

var order512 = [64]byte{
	0, 21, 42, 22, 43, 1, 44, 2, 23, 3, 24, 45, 25, 46, 4, 47, 5, 26, 6, 27, 48, 28, 49, 7, 50, 8, 29, 9, 30, 51, 31, 52, 10,
	53, 11, 32, 12, 33, 54, 34, 55, 13, 56, 14, 35, 15, 36, 57, 37, 58, 16, 59, 17, 38, 18, 39, 60, 40, 61, 19, 62, 20, 41, 63,
}
