package conf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Fault is one thing wrong with a config file.
type Fault struct {
	File string `json:"file"`
	Line int    `json:"line"` // from 1
	// Field is the path of the field, such as networks[0].mtu, where lists
	// count from 0; empty if the fault is the whole file's.
	Field   string `json:"field,omitempty"`
	Problem string `json:"problem"`
}

// Error is "file:line: field: problem".
func (f Fault) Error() string {
	if f.Field == "" {
		return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Problem)
	}
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Field, f.Problem)
}

// Faults is all that is wrong with a config file, by line.
type Faults []Fault

// Error gives one line per fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// AsFaults returns the faults in err's chain, if any.
func AsFaults(err error) Faults {
	if fs, ok := errors.AsType[Faults](err); ok {
		return fs
	}
	return nil
}

// maxFaults bounds what one file may make us say.
const maxFaults = 200

// A doc is one file while it is read: where its fields stand, and what is
// wrong with them so far.
type doc struct {
	file string
	// lines has the line of every field that the file gives, by its path.
	lines map[string]int
	// bad are the fields whose value was not taken over, so that no check
	// speaks of a value that nobody wrote.
	bad    map[string]bool
	faults Faults
	more   int // faults beyond maxFaults
	// warnings are what may be wrong, and keeps nobody from starting.
	warnings []Fault
}

func newDoc(file string) *doc {
	return &doc{file: file, lines: map[string]int{}, bad: map[string]bool{}}
}

// maxProblem bounds what one fault quotes of the file, in bytes.
const maxProblem = 400

// note adds a fault.
func (d *doc) note(line int, path, format string, args ...any) {
	if len(d.faults) == maxFaults {
		d.more++
		return
	}
	problem := fmt.Sprintf(format, args...)
	if len(problem) > maxProblem {
		tail := problem[len(problem)-maxProblem/4:] // what was wanted
		problem = strings.ToValidUTF8(problem[:maxProblem-len(tail)], "") + "…" + strings.ToValidUTF8(tail, "")
	}
	d.faults = append(d.faults, Fault{d.file, line, path, problem})
}

// reject adds a fault of a field whose value cannot be taken over.
func (d *doc) reject(path, format string, args ...any) {
	d.bad[path] = true
	d.note(d.line(path), path, format, args...)
}

// fault adds a fault found by a check, unless the field was rejected before.
func (d *doc) fault(path, format string, args ...any) {
	if !d.bad[path] {
		d.note(d.line(path), path, format, args...)
	}
}

// warn adds what may be wrong with a field.
func (d *doc) warn(path, format string, args ...any) {
	if !d.bad[path] && len(d.warnings) < maxFaults {
		d.warnings = append(d.warnings, Fault{d.file, d.line(path), path, fmt.Sprintf(format, args...)})
	}
}

// faultErr adds err as a fault, unless it is nil.
func (d *doc) faultErr(path string, err error) {
	if err != nil {
		d.fault(path, "%s", err)
	}
}

// given says whether the file gives the field, be it with a good value or not.
func (d *doc) given(path string) bool { return d.lines[path] > 0 }

// good says whether the file gives the field, with a value that can be checked.
func (d *doc) good(path string) bool { return d.given(path) && !d.bad[path] }

// line is that of the field, or of the nearest one around it that is given.
func (d *doc) line(path string) int {
	for path != "" {
		if line := d.lines[path]; line > 0 {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return max(1, d.lines[""])
}

// err returns all faults by line, or nil if there are none.
func (d *doc) err() error {
	if len(d.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(d.faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	if d.more > 0 {
		last := d.faults[len(d.faults)-1].Line
		d.faults = append(d.faults, Fault{d.file, last, "", fmt.Sprintf("and %d more faults", d.more)})
	}
	return d.faults
}
