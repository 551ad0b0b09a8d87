package board

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/nicferry/nicferry/nic"
)

// The bounds of what a node says of a task, in bytes: it is stored, and shown to
// people.
const (
	maxError  = 2 << 10
	maxResult = 128 << 10 // encoded
)

// bound is what is kept of a node's words: no more than the bounds, and nothing
// that a terminal would take for a command.
func bound(problem string, result nic.TaskResult) (string, nic.TaskResult) {
	problem = printable(problem)
	if len(problem) > maxError {
		problem = strings.ToValidUTF8(problem[:maxError], "") + "…"
	}
	kept, err := plain(result)
	switch {
	case err == nil:
		return problem, kept
	case problem == "":
		problem = "the node's result cannot be taken: " + err.Error()
	}
	return problem, nic.TaskResult{Again: result.Again}
}

// plain is the result without control characters in any of its texts.
func plain(result nic.TaskResult) (nic.TaskResult, error) {
	encoded, err := json.Marshal(result)
	if err != nil {
		return nic.TaskResult{}, err
	}
	if len(encoded) > maxResult {
		return nic.TaskResult{}, fmt.Errorf("it has %d bytes, at most %d", len(encoded), maxResult)
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return nic.TaskResult{}, err
	}
	if encoded, err = json.Marshal(printableIn(tree)); err != nil {
		return nic.TaskResult{}, err
	}
	var kept nic.TaskResult
	err = json.Unmarshal(encoded, &kept)
	return kept, err
}

// printableIn is a decoded JSON value with printable texts alone.
func printableIn(v any) any {
	switch v := v.(type) {
	case string:
		return printable(v)
	case []any:
		for i := range v {
			v[i] = printableIn(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = printableIn(v[k])
		}
	}
	return v
}

// printable puts a question mark for each character that is not to be seen.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
