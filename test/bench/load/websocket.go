package load

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// accept is the value of Sec-WebSocket-Accept, RFC 6455 section 4.2.2.
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Frames of RFC 6455 section 5.2, final and binary.
const (
	finalBinary = 0x82
	closing     = 0x88
	masked      = 0x80
)

// clientFrame is a frame of n bytes, masked with zeros.
func clientFrame(n int) []byte {
	b := []byte{finalBinary}
	if n < 126 {
		b = append(b, masked|byte(n))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	}
	b = append(b, 0, 0, 0, 0)
	for range n {
		b = append(b, 'x')
	}
	return b
}

// serverFrame is the same without a mask.
func serverFrame(n int) []byte {
	f := clientFrame(n)
	head := 2
	if n >= 126 {
		head = 4
	}
	f[1] &^= masked
	return append(f[:head], f[head+4:]...)
}

// echoFrame sends a client's frame back, in place and unmasked; 0 if it is not
// whole yet.
func echoFrame(c *socket.Conn, b []byte) (int, error) {
	if len(b) < 2 {
		return 0, nil
	}
	n, at := int(b[1]&^masked), 2
	if n == 126 {
		if len(b) < 4 {
			return 0, nil
		}
		n, at = int(binary.BigEndian.Uint16(b[2:])), 4
	}
	end := at + 4 + n
	if n == 127 || b[1]&masked == 0 || b[0] == closing {
		return 0, errors.New("a frame that no client of ours sends")
	}
	if len(b) < end {
		return 0, nil
	}
	mask := [4]byte(b[at:])
	payload := b[at+4 : end]
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	answer := append(b[:at:at], payload...)
	answer[1] &^= masked
	_, err := c.Write(answer)
	return end, err
}
