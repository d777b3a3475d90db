package wire

import (
	"math"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// What chunked content may have beside data.
const (
	maxSize       = 64       // digits of one chunk's size, leading zeros included
	maxExtension  = 256      // bytes of one chunk's extensions
	maxExtensions = 16 << 10 // bytes of all of them
	maxTrailer    = 8 << 10  // bytes of the trailer section
	maxTrailers   = 32       // its field lines
)

// Chunks decodes chunked content (RFC 9112, section 7.1) as it arrives, however
// it is cut. The zero value is ready; Reset makes it so again.
//
// Sizes are 1 to 64 hexadecimal digits, of which 16 count. Extensions are checked and dropped.
// Trailer fields which frame, route, authenticate or describe the content, and
// so must not come late (RFC 9110, section 6.5.1), are dropped.
type Chunks struct {
	Trailer exchange.Header // complete when Next says done; good until Reset

	state   chunkState
	digits  int
	left    int64 // the size so far, then what is missing of the chunk's data
	ext     int   // bytes of the current chunk's extensions
	exts    int   // bytes of all chunks' extensions
	trailer []byte
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtSpace
	chunkExtName
	chunkExtNameMore
	chunkExtNameSpace
	chunkExtValue
	chunkExtToken
	chunkExtQuoted
	chunkExtEscape
	chunkExtEnd
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer
	chunkDone
)

// Reset makes c ready for another message.
func (c *Chunks) Reset() { *c = Chunks{Trailer: c.Trailer[:0], trailer: c.trailer[:0]} }

// Next decodes the start of b. It returns the first piece of content in it, as
// a view, and how many bytes of b it has used up; done says that the message is
// complete. Neither data nor done: give it more bytes. Call it again with
// b[n:] until b is used up.
func (c *Chunks) Next(b []byte) (data []byte, n int, done bool, err *exchange.Error) {
	for n < len(b) || c.state == chunkDone {
		switch c.state {
		case chunkData:
			size := int(min(int64(len(b)-n), c.left))
			if c.left -= int64(size); c.left == 0 {
				c.state = chunkDataCR
			}
			return b[n : n+size], n + size, false, nil
		case chunkTrailer:
			used, err := c.readTrailer(b[n:])
			n += used
			if err != nil {
				return nil, n, false, err
			}
		case chunkDone:
			return nil, n, true, nil
		case chunkSize:
			if err := c.size(b[n]); err != nil {
				return nil, n, false, err
			}
			n++
		case chunkSizeLF, chunkDataCR, chunkDataLF:
			if err := c.delimiter(b[n]); err != nil {
				return nil, n, false, err
			}
			n++
		default:
			if err := c.extension(b[n]); err != nil {
				return nil, n, false, err
			}
			n++
		}
	}
	return nil, n, false, nil
}

// Check says what is wrong with b, which Next is to be given; nil if that is
// nothing so far. It decodes nothing, and returns what is behind the content.
func (c *Chunks) Check(b []byte) ([]byte, *exchange.Error) {
	look := *c // what both append to, Next writes again
	for len(b) > 0 {
		_, n, done, err := look.Next(b)
		b = b[n:]
		if done || err != nil {
			return b, err
		}
	}
	return nil, nil
}

// size takes a byte of a chunk's size or the one behind it.
func (c *Chunks) size(b byte) *exchange.Error {
	if h := hexes[b]; h > 0 {
		if c.digits++; c.digits > maxSize || c.left > math.MaxInt64>>4 {
			return errChunkSize
		}
		c.left = c.left<<4 | int64(h-1)
		return nil
	}
	if c.digits == 0 {
		return errChunkSize
	}
	switch b {
	case '\r':
		c.state = chunkSizeLF
	case ';':
		c.state = chunkExtName
	case ' ', '\t':
		c.state = chunkExtSpace
	default:
		return errChunkSize
	}
	return nil
}

// delimiter takes a byte of the line end behind a size or behind data.
func (c *Chunks) delimiter(b byte) *exchange.Error {
	switch {
	case c.state == chunkDataCR && b == '\r':
		c.state = chunkDataLF
	case c.state == chunkDataLF && b == '\n':
		c.state, c.digits, c.ext = chunkSize, 0, 0
	case c.state == chunkSizeLF && b == '\n':
		if c.state = chunkData; c.left == 0 {
			c.state = chunkTrailer
		}
	case c.state == chunkSizeLF:
		return errChunkSize
	default:
		return errChunk
	}
	return nil
}

// extension takes a byte of a chunk's extensions (RFC 9112, section 7.1.1):
// *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ).
func (c *Chunks) extension(b byte) *exchange.Error {
	c.ext++
	if c.exts++; c.ext > maxExtension || c.exts > maxExtensions {
		return errChunkExt
	}
	space, token := b == ' ' || b == '\t', class[b]&isToken != 0
	switch s := c.state; {
	case s == chunkExtQuoted:
		switch {
		case b == '"':
			c.state = chunkExtEnd
		case b == '\\':
			c.state = chunkExtEscape
		case class[b]&isText == 0:
			return errChunkExt
		}
	case s == chunkExtEscape && class[b]&isText != 0:
		c.state = chunkExtQuoted
	case s == chunkExtEscape:
		return errChunkExt
	case token && (s == chunkExtName || s == chunkExtNameMore):
		c.state = chunkExtNameMore
	case token && (s == chunkExtValue || s == chunkExtToken):
		c.state = chunkExtToken
	case b == '"' && s == chunkExtValue:
		c.state = chunkExtQuoted
	case b == '=' && (s == chunkExtNameMore || s == chunkExtNameSpace):
		c.state = chunkExtValue
	case b == ';' && s != chunkExtName && s != chunkExtValue:
		c.state = chunkExtName
	case b == '\r' && (s == chunkExtNameMore || s == chunkExtToken || s == chunkExtEnd):
		c.state = chunkSizeLF
	case space && s == chunkExtNameMore:
		c.state = chunkExtNameSpace
	case space && (s == chunkExtToken || s == chunkExtEnd):
		c.state = chunkExtSpace
	case space && (s == chunkExtName || s == chunkExtValue || s == chunkExtSpace || s == chunkExtNameSpace):
	default:
		return errChunkExt
	}
	return nil
}

// readTrailer takes bytes of the trailer section and returns how many.
func (c *Chunks) readTrailer(b []byte) (int, *exchange.Error) {
	for n, x := range b {
		if len(c.trailer) == maxTrailer {
			return n, errTrailerLong
		}
		c.trailer = append(c.trailer, x)
		if x != '\n' {
			continue
		}
		t := c.trailer
		if len(t) < 2 || t[len(t)-2] != '\r' {
			return n, errLineEnd
		}
		if len(t) == 2 || len(t) >= 4 && t[len(t)-3] == '\n' {
			c.state = chunkDone
			return n + 1, c.parseTrailer()
		}
	}
	return len(b), nil
}

func (c *Chunks) parseTrailer() *exchange.Error {
	f := fields{header: c.Trailer[:0], trailer: true}
	_, err := f.read(c.trailer, 0, maxTrailers)
	c.Trailer = f.header
	return err
}

// Late reports whether name may come in a trailer section. A digest of the
// content is what trailers are for (RFC 9530, section 6).
func Late(name string) bool {
	if mem.EqualFold(name, "content-digest") {
		return true
	}
	if endToEnd(name) {
		return false
	}
	for _, n := range early {
		if mem.EqualFold(name, n) {
			return false
		}
	}
	return true
}

// early lists the fields that endToEnd does not and that must not come late.
var early = []string{
	"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "proxy-authorization", "warning", "x-api-key",
}
