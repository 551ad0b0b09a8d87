package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parse returns the file's only document, or nil if there is none to go on
// with. What the YAML syntax forbids ends at the first fault.
func (d *doc) parse(data []byte) *yaml.Node {
	switch {
	case len(data) > maxSize:
		d.note(1, "", "is larger than %d bytes", maxSize)
		return nil
	case !utf8.Valid(data):
		d.note(1+bytes.Count(data[:firstInvalid(data)], []byte("\n")), "", "is not UTF-8 text")
		return nil
	}
	r := &lineReader{rest: data}
	dec := yaml.NewDecoder(r)
	root, err := next(dec)
	if errors.Is(err, io.EOF) || err == nil && root.Content[0].ShortTag() == "!!null" {
		d.note(1, "", "is empty; a config begins with version: %d", version)
		return nil
	}
	if err != nil {
		d.syntax(data, r.lines, err)
		return nil
	}
	second, err := next(dec)
	switch {
	case err == nil:
		d.note(second.Line, "", "a second document begins here; want one document in the file")
	case !errors.Is(err, io.EOF):
		d.syntax(data, r.lines, err)
	}
	return root.Content[0]
}

// next reads a document. The YAML library panics on states that it believes
// unreachable; a config file must not stop a daemon that way.
func next(dec *yaml.Decoder) (root *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be read as YAML: %v", r)
		}
	}()
	root = new(yaml.Node)
	err = dec.Decode(root)
	if err == nil && len(root.Content) != 1 {
		err = errors.New("cannot be read as YAML")
	}
	return root, err
}

// syntaxBudget bounds the work of finding the line of a syntax fault, in bytes.
const syntaxBudget = 2 << 20

// syntax notes a fault that the YAML library found when it had read that many
// lines. Its own line numbers are those of the surrounding block and often one
// off, so we look for the line that brings the fault: the last one without
// which the text before it does not have the same fault.
func (d *doc) syntax(data []byte, lines int, err error) {
	problem := withoutLine(err)
	starts := lineStarts(data)
	line := min(lines, len(starts))
	for budget := syntaxBudget; line > 1 && budget > 0; line-- {
		before := data[:starts[line-1]]
		budget -= len(before)
		if withoutLine(firstError(before)) != problem {
			break
		}
	}
	line = max(1, line)
	text := data[starts[line-1]:]
	if bytes.HasPrefix(bytes.TrimLeft(text, " "), []byte("\t")) {
		problem = "a tab in the indentation; want spaces"
	}
	d.note(line, "", "%s%s", problem, hint(problem))
}

func firstError(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := next(dec); err != nil {
			return err
		}
	}
}

// withoutLine cuts the library's "yaml: line 7: " off.
func withoutLine(err error) string {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		_, msg, _ = strings.Cut(rest, ": ")
	}
	return msg
}

// hint says in a config writer's words what the library's words often mean.
func hint(problem string) string {
	switch problem {
	case "mapping values are not allowed in this context":
		return ` (a second ": " in the line, or wrong indentation?)`
	case "did not find expected key", "did not find expected '-' indicator":
		return " (wrong indentation?)"
	case "could not find expected ':'":
		return " (a line without a field name?)"
	case "found unexpected end of stream":
		return " (a quote that is not closed?)"
	case "found character that cannot start any token":
		return " (such text needs quotes)"
	}
	return ""
}

// A lineReader gives one line per Read, so that lines tells how far the parser
// has come.
type lineReader struct {
	rest   []byte
	lines  int
	inside bool // rest begins in the middle of a line
}

// Read implements io.Reader.
func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	if !r.inside {
		r.lines++
	}
	line := r.rest
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i+1]
	}
	n := copy(p, line)
	r.rest, r.inside = r.rest[n:], n < len(line)
	return n, nil
}

func lineStarts(data []byte) []int {
	starts := []int{0}
	for i, c := range data {
		if c == '\n' && i+1 < len(data) {
			starts = append(starts, i+1)
		}
	}
	return starts
}

func firstInvalid(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(data)
}
