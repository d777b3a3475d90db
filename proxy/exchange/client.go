package exchange

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync/atomic"
	"time"
)

// Client is the certificate a client showed for its connection, read once. It
// counts for nothing unless Verified.
type Client struct {
	Chain      []*x509.Certificate // as shown, the client's own first
	Subject    string              // distinguished name (RFC 4514): "CN=orders,O=Shop"
	Issuer     string              // the same of who signed it
	CommonName string              // of Subject
	DNSNames   []string            // subject alternative names, by kind
	URIs       []string            // "spiffe://shop.example/orders"
	Emails     []string            //
	IPs        []string            //
	SHA256     string              // of the certificate, lower-case hexadecimal
	SPKI       string              // SHA-256 of its public key, base64: a pin as in RFC 7469
	NotAfter   time.Time           //

	judged   atomic.Pointer[Judgement]
	identity atomic.Pointer[Identity]
}

// Identity is who a Client is to policies. Nobody writes to it.
type Identity struct {
	Subject string
	Claims  map[string]any
}

// Judgement is what certain authorities make of a Client.
type Judgement struct {
	By [32]byte // which authorities
	OK bool     // one of them vouches for it
}

// NewClient reads what a client showed, which is not empty.
func NewClient(chain []*x509.Certificate) *Client {
	leaf := chain[0]
	whole, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	c := &Client{
		Chain: chain, Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), CommonName: leaf.Subject.CommonName,
		DNSNames: leaf.DNSNames, Emails: leaf.EmailAddresses,
		SHA256: hex.EncodeToString(whole[:]), SPKI: base64.StdEncoding.EncodeToString(key[:]), NotAfter: leaf.NotAfter,
	}
	for _, uri := range leaf.URIs {
		c.URIs = append(c.URIs, uri.String())
	}
	for _, ip := range leaf.IPAddresses {
		c.IPs = append(c.IPs, ip.String())
	}
	return c
}

// Identity is made for the first request that asks, and is the same for the rest
// of the connection. The subject is the SPIFFE ID, the first URI with that scheme;
// else the first DNS name, e-mail address, common name, or all of Subject.
func (c *Client) Identity() *Identity {
	if id := c.identity.Load(); id != nil {
		return id
	}
	id := &Identity{Subject: c.name(), Claims: map[string]any{
		"subject": c.Subject, "commonName": c.CommonName, "issuer": c.Issuer, "sha256": c.SHA256,
		"notAfter": c.NotAfter.UTC().Format(time.RFC3339),
		"sans":     map[string]any{"dns": list(c.DNSNames), "uri": list(c.URIs), "email": list(c.Emails), "ip": list(c.IPs)},
	}}
	c.identity.Store(id) // requests at the same time make equal ones
	return id
}

func (c *Client) name() string {
	for _, uri := range c.URIs {
		if strings.HasPrefix(uri, "spiffe://") {
			return uri
		}
	}
	switch {
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.Emails) > 0:
		return c.Emails[0]
	case c.CommonName != "":
		return c.CommonName
	}
	return c.Subject
}

// list is in, and a list to expressions even when there is nothing in it.
func list(in []string) []string {
	if in == nil {
		return []string{}
	}
	return in
}

// Judged returns the latest judgement; nil before the first. Of the listener that
// took a request, Exchange.Vouched holds: other requests of the connection may be
// with other listeners, or with one that has ceased to ask.
func (c *Client) Judged() *Judgement { return c.judged.Load() }

// Judge replaces the judgement. Requests of one connection may do so at the same
// time.
func (c *Client) Judge(j *Judgement) { c.judged.Store(j) }
