package session

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	nonceSize = chacha20poly1305.NonceSizeX
	tagSize   = chacha20poly1305.Overhead
)

// minKey is the least length of a key.
const minKey = 32

// Keys own what tokens are sealed with. They outlive tables.
type Keys struct {
	ring atomic.Pointer[ring]
}

// ring is keys in the order in which they are tried; the first one seals.
type ring struct{ aeads []cipher.AEAD }

// NewKeys returns Keys that hold a random one, until Set says otherwise: alone
// that does, with replicas it keeps no session across them.
func NewKeys() (*Keys, error) {
	k := &Keys{}
	return k, k.Set(rand.Text() + rand.Text())
}

// Set makes tokens be sealed with the first key, and opened with any of them: the
// others are those before it, so that a key can be replaced without the loss of a
// session. On an error nothing has changed.
func (k *Keys) Set(keys ...string) error {
	r := &ring{}
	for i, key := range keys {
		if len(key) < minKey {
			return fmt.Errorf("session: key %d has %d bytes; use %d random ones or more", i, len(key), minKey)
		}
		// A secret of any form becomes a key for this use alone.
		derived, err := hkdf.Key(sha256.New, []byte(key), nil, "gatehouse session tokens", chacha20poly1305.KeySize)
		if err != nil {
			return fmt.Errorf("session: key %d: %w", i, err)
		}
		// With random nonces of 24 bytes no number of tokens wears a key out.
		aead, err := chacha20poly1305.NewX(derived)
		if err != nil {
			return fmt.Errorf("session: key %d: %w", i, err)
		}
		r.aeads = append(r.aeads, aead)
	}
	if len(r.aeads) == 0 {
		return errors.New("session: there is no key")
	}
	k.ring.Store(r)
	return nil
}

// seal appends a nonce and the sealed text to dst.
func (k *Keys) seal(dst, text, scope []byte) []byte {
	nonce := dst[len(dst) : len(dst)+nonceSize]
	_, _ = rand.Read(nonce) // it never fails
	return k.ring.Load().aeads[0].Seal(dst[:len(dst)+nonceSize], nonce, text, scope)
}

// open appends to dst the text of what seal made; nil if it did not, or with a
// key or scope that is not among ours.
func (k *Keys) open(dst, raw, scope []byte) []byte {
	for _, aead := range k.ring.Load().aeads {
		if text, err := aead.Open(dst, raw[:nonceSize], raw[nonceSize:], scope); err == nil {
			return text
		}
	}
	return nil
}
