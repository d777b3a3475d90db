package table

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Marshal writes the table as JSON, for a file that Load reads again. Secret
// fields are left out: certificates lose their private keys and basic users
// their password hashes, so a loaded table cannot serve what needs them, and
// its Hash differs.
func (t *Table) Marshal() ([]byte, error) {
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	return append(b, '\n'), nil
}

// Load reads what Marshal wrote. Unknown fields and anything behind the table
// are errors. Actions with equal content become one Action again.
func Load(data []byte) (*Table, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	t := &Table{}
	if err := d.Decode(t); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("table: there is more behind the table; remove it")
	}
	if slices.Contains(t.Backends, nil) || slices.Contains(t.KeySets, nil) {
		return nil, fmt.Errorf("table: a backend or key set is null")
	}
	actions := map[[32]byte]*Action{}
	for _, l := range t.Listeners {
		if l == nil {
			return nil, fmt.Errorf("table: a listener is null")
		}
		if slices.Contains(l.Certificates, nil) || slices.Contains(l.Streams, nil) {
			return nil, fmt.Errorf("table: listener %s: a certificate or stream is null", l.ID)
		}
		for _, h := range l.Hosts {
			if h == nil {
				return nil, fmt.Errorf("table: listener %s: a host is null", l.ID)
			}
			for i, r := range h.Rules {
				if r == nil || r.Action == nil {
					return nil, fmt.Errorf("table: listener %s host %s: rule %d has no action", l.ID, h.Name, i+1)
				}
				sum := Sum(r.Action)
				if actions[sum] == nil {
					actions[sum] = r.Action
				}
				r.Action = actions[sum]
			}
		}
	}
	return t, nil
}
