package access

import (
	"encoding/base64"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func clientCertificate(spec *v1alpha1.ClientCertificateAuthentication) (*table.ClientCertificate, error) {
	out := &table.ClientCertificate{}
	for i, m := range spec.Match {
		t := table.CertificateMatch{Subject: m.Subject, CommonName: m.CommonName}
		if m.SAN != nil {
			t.SAN = &table.SAN{Type: table.SANType(m.SAN.Type), Value: m.SAN.Value}
		}
		if m.SPKISHA256 != "" {
			pin, err := attach.ParsePin(m.SPKISHA256)
			if err != nil {
				return nil, fmt.Errorf("match[%d].spkiSHA256: %w", i, err)
			}
			t.SPKI = base64.StdEncoding.EncodeToString(pin[:])
		}
		out.Match = append(out.Match, t)
	}
	return out, nil
}
