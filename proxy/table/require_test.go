package table

import (
	"strings"
	"testing"
)

func TestRequire(t *testing.T) {
	names := []string{"a", "b", "c"}
	is := func(expr, yes, no string, want Truth) {
		t.Helper()
		r, err := ParseRequire(expr, names)
		if err != nil {
			t.Errorf("%q: %v", expr, err)
			return
		}
		if got := r.Decide(set(yes), set(no)); got != want {
			t.Errorf("%q yes %q no %q: got %d, want %d", expr, yes, no, got, want)
		}
	}
	is("", "a", "", True)
	is("", "", "ab", Undecided)
	is("", "", "abc", False)
	is(" \t ", "c", "ab", True)
	is("a", "a", "", True)
	is("a", "b", "", Undecided)
	is("!a", "a", "", False)
	is("!a", "", "a", True)
	is("!!a", "a", "", True)
	is("!!!a", "a", "", False)
	is("a && b", "a", "", Undecided)
	is("a && b", "", "b", False)
	is("a && b", "ab", "", True)
	is("a || b && !c", "", "ac", Undecided)
	is("a || b && !c", "b", "ac", True)
	is("a || b && !c", "bc", "a", False)
	is("a || b && !c", "a", "", True)
	is("(a || b) && !c", "a", "", Undecided)
	is("(a || b) && !c", "a", "c", True)
	is("(a||b)&&!c", "", "ab", False)
	is("!(a && (b || c))", "ab", "", False)
	is("!(a && (b || c))", "", "a", True)
	is("a||a", "", "", Undecided)
}

func set(names string) (s uint64) {
	for _, n := range names {
		s |= 1 << (n - 'a')
	}
	return s
}

func TestRequireErrors(t *testing.T) {
	fails := func(expr, want string) {
		t.Helper()
		_, err := ParseRequire(expr, []string{"staff", "partners"})
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", expr, err, want)
		}
	}
	fails("staf", `column 1: there is no method "staf"; use one of staff, partners`)
	fails("staff & partners", "column 7: a single &; write &&")
	fails("staff |", "column 7: a single |; write ||")
	fails("staff ||", "column 9: the expression ends; a method name, ! or ( must stand there")
	fails("staff partners", `column 7: "p" is one too many; write && or || before it, or remove it`)
	fails("(staff", "column 7: the expression ends; a ) is missing before it")
	fails("(staff %", `column 8: "%"; a ) is missing before it`)
	fails("staff)", `column 6: ")" is one too many; write && or || before it, or remove it`)
	fails("()", `column 2: ")"; a method name, ! or ( must stand there`)
	fails("é", `column 1: "é"; a method name, ! or ( must stand there`)
	fails("staff\n", `column 6: "\n" is one too many; write && or || before it, or remove it`)
	fails(strings.Repeat("(", 30)+"staff"+strings.Repeat(")", 30), "column 25: parentheses are nested more than 24 deep; simplify the expression")
	fails(strings.Repeat(" ", 1025), "1025 bytes long; use at most 1024")

	if _, err := ParseRequire("", make([]string, 65)); err == nil {
		t.Error("65 methods were taken")
	}
	if _, err := ParseRequire("x", nil); err == nil || !strings.Contains(err.Error(), "has no methods") {
		t.Errorf("no methods: %v", err)
	}
	if r, err := ParseRequire("", nil); err != nil || r.Decide(0, 0) != True {
		t.Errorf("nothing asked of nobody: %v", err)
	}
}

// Left-deep operands inside the deepest nesting use the most stack.
func TestRequireDeepest(t *testing.T) {
	expr := strings.Repeat("b || b && (", maxRequireDepth) + "a" + strings.Repeat(")", maxRequireDepth)
	r, err := ParseRequire(expr, []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Decide(1, 2); got != False {
		t.Errorf("b is no: got %d", got)
	}
	if got := r.Decide(2, 1); got != True {
		t.Errorf("b is yes: got %d", got)
	}
}

func TestDecideAllocates(t *testing.T) {
	r, _ := ParseRequire("a || b && !(c || a)", []string{"a", "b", "c"})
	if n := testing.AllocsPerRun(100, func() { r.Decide(1, 2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseRequire(f *testing.F) {
	for _, s := range []string{"a", "a||b", "!(a&&b)||c", "((", "a &", "!!", " a\t&& b"} {
		f.Add(s)
	}
	names := []string{"a", "b", "c"}
	f.Fuzz(func(t *testing.T, expr string) {
		r, err := ParseRequire(expr, names)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "column ") && len(expr) <= maxRequireBytes {
				t.Fatalf("error without its place: %v", err)
			}
			return
		}
		for yes := range uint64(8) {
			// What is decided while some are unknown must stay so however they turn out.
			if r.Decide(yes, 7&^yes) == Undecided {
				t.Fatalf("%q undecided when all is known", expr)
			}
			for no := range uint64(8) {
				if no&yes != 0 {
					continue
				}
				early := r.Decide(yes, no)
				for rest := range uint64(8) {
					y := yes | rest&^no
					if early != Undecided && r.Decide(y, 7&^y) != early {
						t.Fatalf("%q: decided %d with yes %b no %b, otherwise with yes %b", expr, early, yes, no, y)
					}
				}
			}
		}
	})
}
