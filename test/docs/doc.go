// Package docs checks that README.md, docs and the guide of `gatehouse
// standalone --demo` are true: what they link to exists, their YAML is good,
// their commands are run and answer as they say, and their lists of flags,
// metrics, codes and dependencies are those of the code.
//
// `go test ./test/docs -update` writes the lists that are made from the code. It
// calls the go command, and bash and curl for the commands.
package docs
