package http3

import (
	"io"

	"github.com/quic-go/qpack"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/section"
)

func refuse(status int, code, detail string) *exchange.Error {
	return &exchange.Error{Status: status, Code: code, Detail: detail}
}

// maxFields is how large a header section may be.
func (c *Config) maxFields() int { return section.Bound(c.Limits) }

// decode hands the fields of a block to take.
func decode(c *Config, block []byte, take func(name, value string)) error {
	next, room := qpack.NewDecoder().Decode(block), c.maxFields()
	for {
		f, err := next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return connError(codeDecompression)
		}
		if room -= section.Size(f.Name, f.Value); room < 0 {
			return section.ErrTooLong
		}
		take(f.Name, f.Value)
	}
}

// take takes one field of a request's head.
func (st *stream) take(name, value string) {
	st.section.Take(&st.Exchange, st.k.cfg.Limits.Fields, name, value)
}

// late takes one field of a request's trailer section.
func (st *stream) late(name, value string) {
	st.section.Late(st.k.cfg.Limits.Fields, name, value)
}
