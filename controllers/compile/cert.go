package compile

import (
	"bytes"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// compileCertificates keeps the listener's order; equal content keeps its pointer.
func (c *Compiler) compileCertificates(certs []*graph.Certificate) []*table.Certificate {
	var out []*table.Certificate
	for _, cert := range certs {
		id := cert.Secret.String()
		out = append(out, c.certs.Keep(id, &table.Certificate{ID: id, Chain: cert.Chain, Key: cert.Key}, sameCertificate))
	}
	return out
}

func sameCertificate(a, b *table.Certificate) bool {
	return bytes.Equal(a.Chain, b.Chain) && bytes.Equal(a.Key, b.Key)
}

func compileClients(c *graph.Clients) *table.ClientCAs {
	if c == nil {
		return nil
	}
	return &table.ClientCAs{CAs: c.CAs, Insecure: c.Insecure}
}

func sameClients(a, b *table.ClientCAs) bool {
	return a == b || a != nil && b != nil && a.Insecure == b.Insecure && bytes.Equal(a.CAs, b.CAs)
}
