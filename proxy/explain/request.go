package explain

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// exchange makes the request as HTTP/1.1 would hand it on, had it come to l. The error is
// an *exchange.Error if the proxy would refuse the request itself, and says otherwise what
// is wrong with q. How long a head may be is a setting of the server, to which q is not held.
func (q *Query) exchange(u *url.URL, l *table.Listener) (*exchange.Exchange, error) {
	client := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if q.Client != "" {
		var err error
		if client, err = netip.ParseAddr(q.Client); err != nil {
			return nil, fmt.Errorf("client address %q: write an IP address", q.Client)
		}
	}
	local := netip.IPv4Unspecified()
	if a, err := netip.ParseAddr(l.Address); err == nil {
		local = a
	}
	x := &exchange.Exchange{Start: time.Now(), Conn: &exchange.Conn{
		Local: netip.AddrPortFrom(local, l.Port), Target: l.Target, Peer: netip.AddrPortFrom(client.Unmap(), 0), Protocol: "HTTP/1.1",
	}}
	if x.Conn.TLS = u.Scheme == "https"; x.Conn.TLS {
		x.To(u.Host)
		x.Conn.SNI = x.Request.Host
	}
	if q.ClientCert != "" {
		chain, err := q.chain(x.Conn.TLS)
		if err != nil {
			return nil, err
		}
		x.Conn.Client = exchange.NewClient(chain)
	}
	text, err := q.head(u)
	if err != nil {
		return nil, err
	}
	var h wire.RequestHead
	_, refused := wire.ParseRequest(text, &h, wire.Limits{Head: len(text) + 1, Target: len(text), Fields: len(text)}, nil)
	r := &x.Request
	r.Method, r.Scheme, r.ClientIP = h.Method, u.Scheme, x.Conn.Peer.Addr()
	r.Path, r.RawQuery, r.EmptyQuery = h.Path, h.RawQuery, h.EmptyQuery
	r.Header, r.Upgrade = h.Header, h.Upgrade
	x.To(h.Authority)
	if q.Content != "" {
		r.ContentLength, r.Body = int64(len(q.Content)), &exchange.Buffered{Content: []byte(q.Content)}
	}
	if refused != nil {
		return x, refused
	}
	return x, nil
}

// chain is the certificates of the caller.
func (q *Query) chain(overTLS bool) (chain []*x509.Certificate, err error) {
	if !overTLS {
		return nil, errors.New("a client certificate is shown in TLS handshakes only; write a URL of https")
	}
	for rest := []byte(q.ClientCert); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New("client certificate: there is none in it; write PEM")
	}
	return chain, nil
}

// head is the text of the request's head, which is for the parser to judge: here only what
// would make another request of it is refused.
func (q *Query) head(u *url.URL) ([]byte, error) {
	if q.Method == "" || strings.ContainsAny(q.Method, " \r\n") {
		return nil, fmt.Errorf("%q is no request method; write one such as GET", q.Method)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + u.RawQuery
	}
	host, fields := u.Host, ""
	for _, line := range q.Header {
		name, value, ok := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); !ok || name == "" || strings.ContainsAny(line, "\r\n") {
			return nil, fmt.Errorf("header %q: write it as Name: value", line)
		}
		if strings.EqualFold(name, "Host") { // that of the URL is then only the server's, as with curl
			host = value
			continue
		}
		fields += name + ": " + value + "\r\n"
	}
	if q.Content != "" {
		fields += fmt.Sprintf("Content-Length: %d\r\n", len(q.Content))
	}
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", q.Method, path, host, fields), nil
}
