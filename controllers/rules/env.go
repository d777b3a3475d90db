package rules

import (
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// newEnv is CEL as an API server has it, and of Kubernetes' own functions those that the rules
// use: a test compiles every rule.
func newEnv() (*cel.Env, error) {
	return cel.NewEnv(append(functions(),
		cel.Variable("self", cel.DynType), // an API server has checked the types when it took the definition
		ext.Strings(ext.StringsVersion(2)),
		ext.Sets(),
		ext.Lists(ext.ListsVersion(3)),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EagerlyValidateDeclarations(true),
	)...)
}

func programOptions() []cel.ProgramOption {
	return []cel.ProgramOption{
		cel.EvalOptions(cel.OptOptimize, cel.OptTrackCost),
		cel.CostLimit(costOfOne),
		cel.CostTracking(costs{}),
		cel.CostTrackerOptions(interpreter.PresenceTestHasCost(false)),
	}
}

// kind is the type of what Kubernetes' functions make.
func kind(name string) *cel.Type { return cel.OpaqueType("kubernetes." + name) }

// What there is of them.
const (
	aURL      = "URL"
	aQuantity = "Quantity"
	aFormat   = "NamedFormat"
)

func functions() []cel.EnvOption {
	text, isText, isURL, areQuantities := cel.StringType, []*cel.Type{cel.StringType}, []*cel.Type{kind(aURL)}, []*cel.Type{kind(aQuantity), kind(aQuantity)}
	return []cel.EnvOption{
		cel.Function("isURL", cel.Overload("is_url_string", isText, cel.BoolType, unary(func(s string) ref.Val {
			_, err := url.ParseRequestURI(s)
			return types.Bool(err == nil)
		}))),
		cel.Function("url", cel.Overload("string_to_url", isText, kind(aURL), unary(parseURL))),
		cel.Function("getScheme", cel.MemberOverload("url_get_scheme", isURL, text, unary(func(u *url.URL) ref.Val { return types.String(u.Scheme) }))),
		cel.Function("getHost", cel.MemberOverload("url_get_host", isURL, text, unary(func(u *url.URL) ref.Val { return types.String(u.Host) }))),
		cel.Function("isIP", cel.Overload("is_ip", isText, cel.BoolType, unary(func(s string) ref.Val {
			ip, err := netip.ParseAddr(s)
			return types.Bool(err == nil && ip.Zone() == "" && !ip.Is4In6())
		}))),
		cel.Function("isCIDR", cel.Overload("is_cidr", isText, cel.BoolType, unary(func(s string) ref.Val {
			prefix, err := netip.ParsePrefix(s)
			return types.Bool(err == nil && !prefix.Addr().Is4In6())
		}))),
		cel.Function("quantity", cel.Overload("string_to_quantity", isText, kind(aQuantity), unary(func(s string) ref.Val {
			q, err := resource.ParseQuantity(s)
			if err != nil {
				return types.WrapErr(err)
			}
			return opaque{aQuantity, q}
		}))),
		cel.Function("compareTo", cel.MemberOverload("quantity_compare_to", areQuantities, cel.IntType, binary(func(a, b resource.Quantity) ref.Val {
			return types.Int(a.Cmp(b))
		}))),
		cel.Function("isGreaterThan", cel.MemberOverload("quantity_is_greater_than", areQuantities, cel.BoolType, binary(func(a, b resource.Quantity) ref.Val {
			return types.Bool(a.Cmp(b) > 0)
		}))),
		cel.Function("format.dns1123Label", cel.Overload("format-dns1123Label", nil, kind(aFormat), cel.FunctionBinding(func(...ref.Val) ref.Val {
			return opaque{aFormat, format(validation.IsDNS1123Label)}
		}))),
		cel.Function("validate", cel.MemberOverload("format-validate", []*cel.Type{kind(aFormat), text}, cel.OptionalType(cel.ListType(text)), binary(func(f format, s string) ref.Val {
			if faults := f(s); len(faults) > 0 {
				return types.OptionalOf(types.NewStringList(types.DefaultTypeAdapter, faults))
			}
			return types.OptionalNone
		}))),
	}
}

// format says what is wrong with the form of a text.
type format func(string) []string

func parseURL(s string) ref.Val {
	if _, err := url.ParseRequestURI(s); err != nil {
		return types.NewErr("URL parse error during conversion from string: %v", err)
	}
	u, err := url.Parse(s) // the other takes a fragment for a part of the path
	if err != nil {
		return types.NewErr("URL parse error during conversion from string: %v", err)
	}
	return opaque{aURL, u}
}

// unary and binary bind what takes Go values of these types.
func unary[A any](f func(A) ref.Val) cel.OverloadOpt {
	return cel.UnaryBinding(func(a ref.Val) ref.Val {
		if a, ok := a.Value().(A); ok {
			return f(a)
		}
		return types.MaybeNoSuchOverloadErr(a)
	})
}

func binary[A, B any](f func(A, B) ref.Val) cel.OverloadOpt {
	return cel.BinaryBinding(func(a, b ref.Val) ref.Val {
		x, ok := a.Value().(A)
		y, also := b.Value().(B)
		if !ok || !also {
			return types.MaybeNoSuchOverloadErr(a)
		}
		return f(x, y)
	})
}

// opaque is a value that only functions look into.
type opaque struct {
	kind  string
	value any
}

// ConvertToNative implements ref.Val.
func (o opaque) ConvertToNative(to reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s is no %v", o.kind, to)
}

// ConvertToType implements ref.Val.
func (o opaque) ConvertToType(to ref.Type) ref.Val {
	if to == types.TypeType {
		return kind(o.kind)
	}
	return types.NewErr("type conversion error from '%s' to '%s'", o.kind, to)
}

// Equal implements ref.Val. No rule compares such values by ==.
func (o opaque) Equal(other ref.Val) ref.Val { return types.MaybeNoSuchOverloadErr(other) }

// Type implements ref.Val.
func (o opaque) Type() ref.Type { return kind(o.kind) }

// Value implements ref.Val.
func (o opaque) Value() any { return o.value }

// costs are what Kubernetes counts for functions that are not of CEL itself.
type costs struct{}

// CallCost implements interpreter.ActualCostEstimator.
func (costs) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	of, passes := 0, 0.0 // which argument is a text, and how often it is gone through
	switch function {
	case "url", "lowerAscii", "upperAscii", "substring", "trim", "isIP", "isCIDR", "quantity":
		passes = 1
	case "split", "replace":
		passes = 2
	case "validate":
		of, passes = 1, 8 // by a pattern of 30 characters
	}
	if passes == 0 || of >= len(args) {
		return nil
	}
	text, ok := args[of].(traits.Sizer)
	if !ok {
		return nil
	}
	length, _ := text.Size().(types.Int)
	cost := uint64(math.Ceil(float64(length) * passes * common.StringTraversalCostFactor))
	return &cost
}
