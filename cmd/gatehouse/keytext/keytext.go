// Package keytext says how an API key, the names of its successors, and the times of
// its life are written down.
//
// cmd/gatehouse/command makes and rotates keys with it. It calls nothing of ours.
package keytext

import (
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"math/big"
	"strconv"
	"strings"
	"time"
)

const (
	prefix    = "ghk_"
	keyDigits = 43 // of base 62: 256 bits
	sumDigits = 6  // of base 62: a CRC-32
)

// New makes a key: prefix, 256 random bits, and a checksum of those, by
// which a scanner for leaked secrets tells a key from chance.
func New() (string, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("no random numbers: %w", err)
	}
	body := base62(new(big.Int).SetBytes(b[:]), keyDigits)
	return prefix + body + checksum(body), nil
}

func checksum(body string) string {
	return base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))), sumDigits)
}

func base62(n *big.Int, width int) string {
	s := n.Text(62)
	return strings.Repeat("0", max(0, width-len(s))) + s
}

// Numbered takes the number off a name that rotate made; 1 where there is none.
func Numbered(name string) (string, int) {
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		if n, err := strconv.Atoi(name[i+1:]); err == nil && n > 1 && n < 1e6 {
			return name[:i], n
		}
	}
	return name, 1
}

// Life reads when a key begins to count and when it ends to, as Moment does, and
// says so in the form that Secrets have; "" stays "".
func Life(notBefore, expires string, now time.Time) (from, until string, err error) {
	begins, ends := now, time.Time{}
	if notBefore != "" {
		if begins, err = Moment(notBefore, now); err != nil {
			return "", "", fmt.Errorf("--not-before: %w", err)
		}
		from = begins.UTC().Format(time.RFC3339)
	}
	if expires != "" {
		if ends, err = Moment(expires, now); err != nil {
			return "", "", fmt.Errorf("--expires: %w", err)
		}
		until = ends.UTC().Format(time.RFC3339)
	}
	if until != "" && (!ends.After(begins) || !ends.After(now)) {
		return "", "", fmt.Errorf("--expires: %s is no later than when it begins to count: the key would never count", until)
	}
	return from, until, nil
}

// Moment reads a time, or a span from now: 90m, 12h, 30d.
func Moment(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 36500 {
			return now.AddDate(0, 0, n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(d), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time such as 2027-01-31T00:00:00Z nor a span such as 12h or 30d", text)
}
