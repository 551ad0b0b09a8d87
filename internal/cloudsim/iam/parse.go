package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// MaxManaged is how long a managed policy may be, in characters other than
// white space; Length counts them.
const MaxManaged = 6144

// Length is a policy's as IAM counts it.
func Length(text []byte) int {
	return len(bytes.Join(bytes.Fields(text), nil))
}

// document and statement are as they are written.
type document struct {
	Version   string          `json:"Version"`
	ID        string          `json:"Id"`
	Statement json.RawMessage `json:"Statement"`
}

type statement struct {
	Sid, Effect                              string
	Action, NotAction, Resource, NotResource texts
	Condition                                map[string]map[string]texts
}

// texts are one or several.
type texts []string

// UnmarshalJSON takes a text, a truth value or a list of texts.
func (t *texts) UnmarshalJSON(raw []byte) error {
	switch string(raw) {
	case "true", "false":
		*t = texts{string(raw)}
		return nil
	}
	if len(raw) > 0 && raw[0] == '"' {
		*t = make(texts, 1)
		return json.Unmarshal(raw, &(*t)[0])
	}
	return json.Unmarshal(raw, (*[]string)(t))
}

// Parse reads a policy of IAM's.
func Parse(text []byte) (Document, error) { return IAM().Parse(text) }

// Parse reads a policy that is attached to a user or a role. The error has all
// that is wrong with its statements, by their numbers: what the cloud would refuse,
// and what this package does not know, so that nothing is passed over.
func (l Dialect) Parse(text []byte) (Document, error) {
	if err := noTwins(text); err != nil {
		return Document{}, fmt.Errorf("read policy: %w", err)
	}
	var doc document
	if err := strictly(text, &doc); err != nil {
		return Document{}, fmt.Errorf("read policy: %w", err)
	}
	d := Document{Version: doc.Version, ID: doc.ID}
	var all []statement
	raw := bytes.TrimSpace(doc.Statement)
	if len(raw) > 0 && raw[0] == '{' { // one alone needs no list
		raw = slices.Concat([]byte("["), raw, []byte("]"))
	}
	if err := strictly(raw, &all); err != nil {
		return Document{}, fmt.Errorf("read policy: Statement: %w", err)
	}
	var faults []error
	if d.Version != l.version {
		faults = append(faults, fmt.Errorf("its Version is %q: want %s, the only one that is known here", d.Version, l.version))
	}
	if d.ID != "" && !l.names {
		faults = append(faults, fmt.Errorf("its Id is %q: a policy has none here", d.ID))
	}
	if len(all) == 0 {
		faults = append(faults, errors.New("no Statement: it would allow nothing"))
	}
	sids := map[string]bool{}
	for n, s := range all {
		made, err := s.check(l)
		if s.Sid != "" && sids[s.Sid] {
			err = errors.Join(err, errors.New("the Sid is another statement's too"))
		}
		sids[s.Sid] = true
		if err != nil {
			faults = append(faults, fmt.Errorf("statement %d (%q): %w", n+1, s.Sid, err))
		}
		d.Statements = append(d.Statements, made)
	}
	return d, errors.Join(faults...)
}

// strictly reads one JSON value without anything that v does not have.
func strictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after it")
	}
	return nil
}

// noTwins refuses names that stand twice in one object: all but the last would
// be passed over.
func noTwins(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	type level struct {
		names map[string]bool // nil in a list
		value bool            // the next token is a name's value
	}
	var levels []level
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if end := token == json.Delim('}') || token == json.Delim(']'); end {
			levels = levels[:len(levels)-1]
			continue
		}
		if n := len(levels) - 1; n >= 0 && levels[n].names != nil {
			if name, ok := token.(string); ok && !levels[n].value {
				if levels[n].names[name] {
					return fmt.Errorf("%q stands twice", name)
				}
				levels[n].names[name], levels[n].value = true, true
				continue
			}
			levels[n].value = false
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{names: map[string]bool{}})
		case json.Delim('['):
			levels = append(levels, level{})
		}
	}
}

var (
	sidForm    = regexp.MustCompile(`^[A-Za-z0-9]*$`)
	actionForm = regexp.MustCompile(`^(\*|[a-z0-9-]+:[A-Za-z0-9*?]+)$`)
)

// check makes a statement, and tells all that is wrong with it.
func (s statement) check(l Dialect) (Statement, error) {
	made := Statement{
		Sid: s.Sid, Deny: s.Effect == "Deny", Actions: s.Action, NotActions: s.NotAction, Resources: s.Resource, NotResources: s.NotResource,
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	switch {
	case !sidForm.MatchString(s.Sid):
		fault("Sid %q: want letters and digits", s.Sid)
	case s.Sid != "" && !l.names:
		fault("Sid %q: a statement has none here", s.Sid)
	}
	if len(s.NotResource) > 0 && !l.notResource {
		fault("NotResource is not known here: want Resource")
	}
	if s.Effect != "Allow" && s.Effect != "Deny" {
		fault("Effect %q: want Allow or Deny", s.Effect)
	}
	if (len(s.Action) == 0) == (len(s.NotAction) == 0) {
		fault("want one of Action and NotAction")
	}
	if (len(s.Resource) == 0) == (len(s.NotResource) == 0) {
		fault("want one of Resource and NotResource")
	}
	for _, a := range slices.Concat(s.Action, s.NotAction) {
		if !actionForm.MatchString(a) {
			fault("Action %q: want one such as %s", a, l.anAction)
		}
	}
	for _, r := range slices.Concat(s.Resource, s.NotResource) {
		if r != "*" && (!strings.HasPrefix(r, l.prefix) || strings.Count(r, ":") < l.parts-1) {
			fault("Resource %q: want * or an ARN such as %s", r, l.anARN)
		}
		if strings.Contains(r, "${") {
			fault("Resource %q: variables are not known here", r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Condition)) {
		for _, key := range slices.Sorted(maps.Keys(s.Condition[name])) {
			c, err := l.condition(name, key, s.Condition[name][key])
			if err != nil {
				faults = append(faults, err)
			}
			made.Conditions = append(made.Conditions, c)
		}
	}
	return made, errors.Join(faults...)
}

func (l Dialect) condition(name, key string, values texts) (Condition, error) {
	c := Condition{Operator: name, Key: key, Values: values}
	op, ok := l.operator(name)
	c.op = op
	var err error
	if !ok {
		err = fmt.Errorf("condition %q: not known here", name)
	}
	switch {
	case !strings.Contains(key, ":"):
		err = errors.Join(err, fmt.Errorf("condition key %q: want one such as %s", key, l.aKey))
	case l.hasKey != nil && !l.hasKey(key):
		err = errors.Join(err, fmt.Errorf("condition key %q: not known here", key))
	}
	if len(values) == 0 {
		err = errors.Join(err, fmt.Errorf("condition %s of %s: no value", name, key))
	}
	for _, v := range values {
		switch {
		case strings.Contains(v, "${"):
			err = errors.Join(err, fmt.Errorf("value %q of %s: variables are not known here", v, key))
		case op.form != nil && !op.form(v):
			err = errors.Join(err, fmt.Errorf("value %q of %s: %s cannot be held against it", v, key, name))
		}
	}
	return c, err
}
