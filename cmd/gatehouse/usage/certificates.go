package usage

import (
	"encoding/pem"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// certificates is a flag that names a file of certificates.
type certificates struct {
	file string
	pem  *string // what it has of them
}

// maxCertificates is how much of a file is read, which may have no end.
const maxCertificates = 256 << 10

func (c *certificates) String() string { return c.file }
func (c *certificates) Type() string   { return "file" }

// Set reads the file. A key that stands beside the certificates is left there.
func (c *certificates) Set(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	rest, err := io.ReadAll(io.LimitReader(f, maxCertificates))
	if err != nil {
		return err
	}
	c.file, *c.pem = file, ""
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			*c.pem += string(pem.EncodeToMemory(block))
		}
	}
	if *c.pem == "" {
		return fmt.Errorf("%s has no certificate; give a PEM file, with the client's own first", file)
	}
	return nil
}

// Certificates gives c a flag that names a PEM file, whose certificates value gets as PEM.
func Certificates(c *cobra.Command, value *string, flag, what string) {
	c.Flags().Var(&certificates{pem: value}, flag, what)
}
