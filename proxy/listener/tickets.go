package listener

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// KeyLen is the length of a key in bytes.
const KeyLen = 32

// SetTicketKeys replaces the keys of session tickets (RFC 8446, section 4.6.1; RFC
// 5077): sessions are sealed with the first, and resumed with any. Without keys
// each Set has its own, which change every day. It may be called at any time, from
// any goroutine.
func (s *Set) SetTicketKeys(keys ...string) error {
	if len(keys) == 0 {
		return errors.New("no key")
	}
	sized := make([][KeyLen]byte, len(keys))
	for i, key := range keys {
		if len(key) != KeyLen {
			return fmt.Errorf("key %d has %d bytes; it must have %d", i+1, len(key), KeyLen)
		}
		copy(sized[i][:], key)
	}
	s.tickets.SetSessionTicketKeys(sized)
	return nil
}

// resume makes sessions of c be kept in tickets of the Set's keys, whatever socket
// or table c is of. Where clients show certificates, t says whom they are believed by,
// and a session is resumed only where that has stayed the same: else the client
// shows its certificate again. (crypto/tls itself refuses a session with a certificate where
// none is asked for, and one without where one is required.)
func (s *Set) resume(c *tls.Config, t *table.ClientCAs) {
	var mark []byte
	if t != nil {
		id := table.Sum(t)
		mark = []byte("gatehouse clients " + hex.EncodeToString(id[:]))
	}
	c.WrapSession = func(cs tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		if mark != nil {
			session.Extra = append(session.Extra, mark)
		}
		return s.tickets.EncryptTicket(cs, session)
	}
	c.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		session, err := s.tickets.DecryptTicket(ticket, cs)
		if err != nil || session == nil || mark == nil {
			return session, err
		}
		for _, extra := range session.Extra {
			if bytes.Equal(extra, mark) {
				return session, nil
			}
		}
		return nil, nil
	}
}
