package basic

import (
	"crypto/sha1" //nolint:gosec // {SHA} is what old htpasswd files have
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The costs a hash may have: what one check may take of the gateway's time and
// memory, about 1 s and 64 MiB.
const (
	maxBcrypt      = 14
	maxArgonMemory = 64 << 10 // KiB
	maxArgonTime   = 10
	maxArgonLanes  = 8
)

// verifier checks passwords against one hash.
type verifier interface {
	verify(password []byte) bool
}

// ValidateHash reports what is wrong with a password hash of an htpasswd line,
// and what to use instead. It never repeats the hash.
func ValidateHash(hash []byte) error {
	_, err := parseHash(string(hash))
	return err
}

func parseHash(text string) (verifier, error) {
	switch {
	case strings.HasPrefix(text, "$2"):
		cost, err := bcrypt.Cost([]byte(text))
		if err != nil || len(text) != 60 {
			return nil, errors.New("the bcrypt hash is malformed; make one with htpasswd -nB")
		}
		if cost > maxBcrypt {
			return nil, fmt.Errorf("bcrypt cost %d; use at most %d", cost, maxBcrypt)
		}
		return bcryptHash(text), nil
	case strings.HasPrefix(text, "$5$"), strings.HasPrefix(text, "$6$"):
		return newSHACrypt(text)
	case strings.HasPrefix(text, "$argon2id$"):
		return newArgon(text)
	case strings.HasPrefix(text, "{SHA}"):
		sum, err := base64.StdEncoding.Strict().DecodeString(text[len("{SHA}"):])
		if err != nil || len(sum) != sha1.Size {
			return nil, errors.New("the {SHA} hash is malformed; make a bcrypt one with htpasswd -nB")
		}
		return sha1Hash(sum), nil
	}
	return nil, errors.New("the password hash is of no kind that is supported; use bcrypt (htpasswd -nB), argon2id or SHA-crypt ($5$, $6$)")
}

type bcryptHash string

func (h bcryptHash) verify(password []byte) bool {
	return bcrypt.CompareHashAndPassword([]byte(h), password) == nil
}

type sha1Hash []byte

func (h sha1Hash) verify(password []byte) bool {
	sum := sha1.Sum(password) //nolint:gosec // see the import
	return subtle.ConstantTimeCompare(sum[:], h) == 1
}

// argonHash is an argon2id hash in the PHC string format (RFC 9106).
type argonHash struct {
	time, memory uint32
	lanes        uint8
	salt, want   []byte
}

func newArgon(text string) (verifier, error) {
	malformed := errors.New("the argon2id hash is malformed; it reads $argon2id$v=19$m=65536,t=3,p=4$salt$hash")
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[2] != "v=19" {
		return nil, malformed
	}
	h := &argonHash{}
	if n, err := fmt.Sscanf(parts[3]+"$", "m=%d,t=%d,p=%d$", &h.memory, &h.time, &h.lanes); err != nil || n != 3 {
		return nil, malformed
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.want, err2 = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.want) < 16 || len(h.want) > 64 || h.time == 0 || h.lanes == 0 {
		return nil, malformed
	}
	if h.memory > maxArgonMemory || h.time > maxArgonTime || h.lanes > maxArgonLanes {
		return nil, fmt.Errorf("argon2id m=%d,t=%d,p=%d; use at most m=%d,t=%d,p=%d",
			h.memory, h.time, h.lanes, maxArgonMemory, maxArgonTime, maxArgonLanes)
	}
	return h, nil
}

func (h *argonHash) verify(password []byte) bool {
	sum := argon2.IDKey(password, h.salt, h.time, h.memory, h.lanes, uint32(len(h.want)))
	return subtle.ConstantTimeCompare(sum, h.want) == 1
}
