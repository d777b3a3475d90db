package oidc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Sizes of what browsers are given.
const (
	tokenBytes = 32
	tokenText  = 43 // base64url of it
	browserLen = 22 // base64url of 16 bytes
)

// seals are the keys of one client, made from its secret: replicas have the same,
// and a new secret ends what was sealed with the old.
type seals struct {
	realm   [8]byte     // keeps clients' sessions apart in a store
	state   cipher.AEAD // of the state parameter
	login   []byte      // makes nonce, code verifier and binding
	session []byte      // makes the keys of sessions
}

func newSeals(t *table.OIDC) (seals, error) {
	var s seals
	key := func(what string) ([]byte, error) {
		return hkdf.Key(sha256.New, t.ClientSecret, []byte(t.Issuer+"\x00"+t.ClientID), "gatehouse oidc "+what, 32)
	}
	state, err1 := key("state")
	realm, err2 := key("realm")
	login, err3 := key("login")
	session, err4 := key("session")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return s, err
	}
	copy(s.realm[:], realm)
	s.login, s.session = login, session
	s.state, err1 = newAEAD(state)
	return s, err1
}

// newAEAD is AES-256-GCM whose nonce is random and stands before the sealed text.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sessionID is the key of a session in the store.
func (s *seals) sessionID(token string) [32]byte {
	var b [len(s.realm) + tokenText]byte // one block of the hash
	copy(b[:], s.realm[:])
	copy(b[len(s.realm):], token)
	return sha256.Sum256(b[:])
}

// markID is the key under which the store has the mark of the last time that
// sessions of that sid or sub were revoked.
func (s *seals) markID(kind, value string) [32]byte {
	return sha256.Sum256(append(append(append([]byte("mark "), s.realm[:]...), kind...), value...))
}

// sessionKey is the key that the session of token is sealed with.
func (s *seals) sessionKey(token string) (cipher.AEAD, error) {
	return newAEAD(s.mac(s.session, "", token))
}

// derive makes a secret of one login from its id and the browser's cookie: nobody
// who lacks either learns it.
func (s *seals) derive(what string, id []byte, browser string) string {
	return text(s.mac(s.login, what, string(id)+browser))
}

// binding ties a state to the browser that was given it.
func (s *seals) binding(browser string) []byte { return s.mac(s.login, "binding", browser)[:16] }

func (s *seals) mac(key []byte, what, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(mem.Bytes(what))
	h.Write([]byte{0})
	h.Write(mem.Bytes(message))
	return h.Sum(nil)
}

// random returns n random bytes. It never fails (crypto/rand).
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
