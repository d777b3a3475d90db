package usage

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// program is a command line with a command of each kind; run is what running it says.
func program(args ...string) (said string, err error) {
	var out bytes.Buffer
	var form string
	root := &cobra.Command{Use: "program", SilenceUsage: true, SilenceErrors: true}
	root.SetOut(&out)
	root.SetErr(&out)
	do := func(c *cobra.Command, _ []string) error {
		return Print(c.OutOrStdout(), form, map[string]int{"answer": 42})
	}
	files := &cobra.Command{Use: "files", Args: Exactly(), RunE: do}
	files.Flags().String("filename", "", "")
	files.Flags().String("log-level", "", "")
	Output(files, &form)
	group := &cobra.Command{Use: "group"}
	group.AddCommand(&cobra.Command{Use: "list A B", Args: Exactly("A", "B"), RunE: do}, &cobra.Command{Use: "some [A]", Args: Between(0, 1), RunE: do})
	root.AddCommand(files, group)
	Finish(root)
	root.SetArgs(args)
	err = root.Execute()
	return out.String(), err
}

func TestMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"group lst":             `unknown command "lst" for "program group"; did you mean list?`,
		"group zzzzzz":          `unknown command "zzzzzz" for "program group"`,
		"completion foo":        `unknown command "foo" for "program completion"`,
		"files --filenam x":     "unknown flag: --filenam; did you mean --filename?",
		"files --zzzzzz":        "unknown flag: --zzzzzz; program files --help lists those there are",
		"files a.yaml":          `"a.yaml" is one argument too many; files and folders are named by --filename`,
		"files --output xml":    `invalid argument "xml" for "-o, --output" flag: "xml" is not an output form; use text, json or yaml`,
		"group list":            "missing: A, B; write: program group list A B [flags]",
		"group list a":          "missing: B; write: program group list A B [flags]",
		"group list a b c":      `"c" is one argument too many; write: program group list A B [flags]`,
		"group some a b":        `"b" is one argument too many; write: program group some [A] [flags]`,
		"files --output":        "flag needs an argument: --output",
		"group some a --output": "unknown flag: --output; program group some --help lists those there are",
	} {
		if said, err := program(strings.Fields(args)...); err == nil || err.Error() != want || said != "" {
			t.Errorf("%s: %v; want %s\n%s", args, err, want, said)
		}
	}
}

func TestWhatIsPrinted(t *testing.T) {
	for args, want := range map[string]string{
		"files --output json":           "{\n  \"answer\": 42\n}\n",
		"files --output yaml":           "answer: 42\n",
		"__complete files --output ":    "text\njson\nyaml\n:4\n",
		"__complete files --log-level ": "debug\ninfo\nwarn\nerror\n:4\n",
		"group":                         "Usage:\n  program group\n",
	} {
		if said, err := program(strings.Split(args, " ")...); err != nil || !strings.HasPrefix(said, want) {
			t.Errorf("%s: %v\n%s", args, err, said)
		}
	}
}
