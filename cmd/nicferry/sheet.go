package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// sheet writes the description of one thing: names, values and sections of
// them. Everything is cleaned on its way. Empty values and sections are left
// out.
type sheet struct {
	now     time.Time
	rows    [][2]string
	pending string // a section that has no field yet
	indent  string
}

// field adds a name and its value, unless that is empty.
func (s *sheet) field(name, value string) {
	if value == "" {
		return
	}
	if s.pending != "" {
		s.rows = append(s.rows, [2]string{s.pending + ":", ""})
		s.pending, s.indent = "", "  "
	}
	s.rows = append(s.rows, [2]string{s.indent + clean(name) + ":", oneLine(value)})
}

// section begins a section; it is shown with its first field.
func (s *sheet) section(title string) { s.pending = clean(title) }

// time adds a point in time, unless it is zero.
func (s *sheet) time(name string, t time.Time) {
	switch {
	case t.IsZero():
	case t.After(s.now):
		s.field(name, fmt.Sprintf("%s (in %s)", t.UTC().Format(time.RFC3339), age(t, s.now)))
	default:
		s.field(name, fmt.Sprintf("%s (%s ago)", t.UTC().Format(time.RFC3339), age(s.now, t)))
	}
}

// since adds to a state how long it has been so.
func (s *sheet) since(state string, t time.Time) string {
	if t.IsZero() {
		return state
	}
	return state + ", for " + age(s.now, t)
}

// observed adds what the node last said.
func (s *sheet) observed(o *nic.Observed) {
	if o == nil {
		return
	}
	s.section("On the node")
	s.field("State", string(o.State))
	if o.Running {
		s.field("Container", "runs")
	}
	s.field("MAC", o.MAC.String())
	s.field("Addresses", join(o.Addrs))
	s.field("Device", o.Device)
	s.time("Lease ends", o.LeaseEnds)
	s.time("Reported", o.At)
	for _, c := range o.Conditions {
		s.condition(c)
	}
}

// conditions adds a section with all conditions, oldest first as they came.
func (s *sheet) conditions(list []nic.Condition) {
	s.section("Conditions")
	for _, c := range list {
		s.condition(c)
	}
}

func (s *sheet) condition(c nic.Condition) {
	var times []string
	if !c.Since.IsZero() {
		times = append(times, "for "+age(s.now, c.Since))
	}
	switch {
	case c.Deadline.IsZero():
	case c.Deadline.After(s.now):
		times = append(times, "overdue in "+age(c.Deadline, s.now))
	default:
		times = append(times, "overdue since "+age(s.now, c.Deadline))
	}
	text := c.Message
	if len(times) > 0 {
		text += " (" + strings.Join(times, ", ") + ")"
	}
	s.field(string(c.Reason), text)
}

// device adds the recipe.
func (s *sheet) device(d nic.Device) {
	s.section("Device")
	s.field("Kind", string(d.Kind))
	s.field("Parent", d.Parent)
	if d.Tag != 0 {
		s.field("VLAN", fmt.Sprintf("%d of trunk %s", d.Tag, d.Trunk))
	}
	if d.Bridge.Name != "" {
		bridge := d.Bridge.Name
		if d.Bridge.Owned {
			bridge += " (owned: nicferry makes and removes it)"
		}
		s.field("Bridge", bridge)
		s.field("Uplinks", strings.Join(d.Bridge.Uplinks, ","))
	}
	if d.MTU != 0 {
		s.field("MTU", strconv.Itoa(d.MTU))
	}
	s.vfs(d)
}

// flush writes the sheet.
func (s *sheet) flush(out io.Writer) error {
	w := newTable(out)
	for _, row := range s.rows {
		if row[1] == "" {
			fmt.Fprintln(w, row[0])
			continue
		}
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	return w.Flush()
}
