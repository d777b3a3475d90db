package manifests

import (
	"fmt"
	"math/big"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// bound words that something is too small or too large; "" is for other faults.
func bound(of jsonschema.ErrorKind) string {
	number := func(got, want *big.Rat, word string) string {
		return fmt.Sprintf("is %s, must be at %s %s", got.RatString(), word, want.RatString())
	}
	count := func(got, want int, unit, word string) string {
		if got == 0 && want == 1 && word == "least" {
			return "is empty; write something"
		}
		return fmt.Sprintf("has %d %s, must have at %s %d", got, unit, word, want)
	}
	switch k := of.(type) {
	case *kind.Minimum:
		return number(k.Got, k.Want, "least")
	case *kind.Maximum:
		return number(k.Got, k.Want, "most")
	case *kind.MinLength:
		return count(k.Got, k.Want, "characters", "least")
	case *kind.MaxLength:
		return count(k.Got, k.Want, "characters", "most")
	case *kind.MinItems:
		return count(k.Got, k.Want, "items", "least")
	case *kind.MaxItems:
		return count(k.Got, k.Want, "items", "most")
	case *kind.MinProperties:
		return count(k.Got, k.Want, "members", "least")
	case *kind.MaxProperties:
		return count(k.Got, k.Want, "members", "most")
	}
	return ""
}
