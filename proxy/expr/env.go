package expr

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
)

// variable is one name an expression can use. Names are flat, dots and all, so
// that resolving one is a switch and no map is built for a request.
type variable struct {
	name string
	typ  *cel.Type
	size uint64 // the largest size() it can have, for the cost estimate; 0: it has none
}

// facts is the variable that holds what metadata steps have fetched.
const facts = "metadata"

// The sizes of a large request, for the cost estimate alone: what is larger
// still is cut off when it runs.
const (
	maxText   = 8 << 10 // bytes of a header field, path or claim
	maxFields = 256     // header fields, parameters, items of a claim
)

func variables() []variable {
	text := cel.StringType
	return []variable{
		{"request.method", text, 32},
		{"request.scheme", text, 5},
		{"request.host", text, 255},
		{"request.path", text, maxText},
		{"request.headers", cel.MapType(text, text), maxFields}, // keys in lower case; repeated fields joined with ", "
		{"request.query", cel.MapType(text, text), maxFields},   // decoded; a repeated parameter is an error when it is read
		{"source.address", text, 45},
		{"source.port", cel.IntType, 0},
		{"auth.method", text, 63},
		{"auth.subject", text, maxText},
		{"auth.claims", cel.MapType(text, cel.DynType), maxFields},
		{"auth.metadata", cel.MapType(text, cel.DynType), maxFields},
		{facts, cel.MapType(text, cel.DynType), maxFields},
		{"route.name", text, 512},
		{"route.rule", text, 253},
		{"route.listener", text, 512},
		{"context.now", cel.TimestampType, 0},
	}
}

func options() []cel.EnvOption {
	opts := []cel.EnvOption{
		cel.StdLib(),
		ext.Strings(ext.StringsVersion(5)), // the first that says what its functions cost
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EagerlyValidateDeclarations(true),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserExpressionSizeLimit(maxBytes),
		cel.RegexProgramSizeLimit(maxRegexp),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(),
			cel.ValidateHomogeneousAggregateLiterals(),
			cel.ValidateComprehensionNestingLimit(maxNesting),
		),
	}
	for _, v := range variables() {
		opts = append(opts, cel.Variable(v.name, v.typ))
	}
	return opts
}

// known lists what could have been meant by name: the fields of the same
// object, else the objects.
func known(name string) string {
	var fields, objects []string
	for _, v := range variables() {
		object, _, _ := strings.Cut(v.name, ".")
		if object == name {
			fields = append(fields, v.name)
		}
		if len(objects) == 0 || objects[len(objects)-1] != object {
			objects = append(objects, object)
		}
	}
	if len(fields) > 0 {
		return strings.Join(fields, ", ")
	}
	return strings.Join(objects, ", ")
}

// sizes tells the estimate how large things get.
type sizes struct{}

// EstimateSize implements checker.CostEstimator.
func (sizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	name := strings.Join(node.Path(), ".")
	for _, v := range variables() {
		if v.name == name {
			return &checker.SizeEstimate{Max: v.size}
		}
	}
	if node.Type().Kind() == types.StringKind {
		return &checker.SizeEstimate{Max: maxText}
	}
	return &checker.SizeEstimate{Max: maxFields}
}

// EstimateCallCost implements checker.CostEstimator; the library's costs serve.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
