package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/nicferry/nicferry/internal/api"
)

// formats are what -o takes.
func formats() []string { return []string{"table", "wide", "json", "yaml", "name"} }

// printer writes things in the format that the user asked for.
type printer struct {
	out       io.Writer
	format    string
	noHeaders bool
	now       time.Time
}

// print writes things of kind k; single says that the user asked for exactly
// this one, so that JSON and YAML have it without the envelope.
func (p *printer) print(k kind, things []thing, single bool) error {
	switch p.format {
	case "json", "yaml":
		if single {
			return encode(p.out, p.format, things[0].object())
		}
		objects := make([]any, len(things))
		for i, t := range things {
			objects[i] = t.object()
		}
		return encode(p.out, p.format, api.NewList(objects, ""))
	case "name":
		for _, t := range things {
			fmt.Fprintln(p.out, clean(t.key()))
		}
		return nil
	}
	return p.table(k, things)
}

func (p *printer) table(k kind, things []thing) error {
	columns := k.columns
	if p.format == "wide" {
		columns = slices.Concat(columns, k.wide)
	}
	w := newTable(p.out)
	if !p.noHeaders {
		fmt.Fprintln(w, strings.Join(columns, "\t"))
	}
	for _, t := range things {
		cells := t.cells(p.now)[:len(columns)]
		for i, cell := range cells {
			cells[i] = orDash(oneLine(cell))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

func newTable(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 0, 0, 3, ' ', 0) }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// encode writes v as JSON, or as YAML with the fields of the JSON in the same
// order.
func encode(out io.Writer, format string, v any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	text, err := cleanEncoded(b.String(), jsonEscape), error(nil)
	if format == "yaml" {
		text, err = toYAML(b.String())
	}
	if err == nil {
		_, err = io.WriteString(out, text)
	}
	return err
}

// toYAML relies on JSON being YAML, but for the characters that JSON need not
// escape and YAML must.
func toYAML(jsonText string) (string, error) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(cleanEncoded(jsonText, yamlEscape)), &document); err != nil {
		return "", fmt.Errorf("turn into YAML: %w", err)
	}
	restyle(&document)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(&document); err != nil {
		return "", fmt.Errorf("encode as YAML: %w", err)
	}
	return cleanEncoded(b.String(), yamlEscape), nil
}

// restyle gives up JSON's braces, and its quotes where they are not needed.
func restyle(n *yaml.Node) {
	n.Style = 0
	if n.Tag == "!!str" && needsQuotes(n.Value) {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, child := range n.Content {
		restyle(child)
	}
}

// needsQuotes says whether a string has characters to be escaped, or would be
// something else without quotes, also to older readers: 12:34:56 is a number
// to them. The encoder knows that of strings, but not of nodes.
func needsQuotes(s string) bool {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return true
	}
	text, err := yaml.Marshal(s)
	return err != nil || string(text) != s+"\n"
}

// age is how long ago t was, with one unit, or two while that says more.
func age(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := now.Sub(t)
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 10*time.Minute && d%time.Minute >= time.Second:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
