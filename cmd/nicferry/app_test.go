package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

func newApp(out, err *bytes.Buffer) *app {
	return &app{out: out, err: err, getenv: func(string) string { return "" }, now: time.Now}
}

func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	seen := 0
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		seen++
		if cmd.Example == "" || cmd.Short == "" {
			t.Errorf("%s: no example or no short text", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newApp(&out, &errs).root())
	if seen < 12 { // ours, help, completion and its four shells
		t.Errorf("saw only %d commands", seen)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, tc := range []struct {
		ctx  context.Context
		err  error
		want int
	}{
		{t.Context(), fmt.Errorf("x: %w", &api.Error{Code: api.CodeNotFound}), exitNotFound},
		{t.Context(), &api.Error{Code: api.CodeRefused}, exitRefused},
		{t.Context(), &api.Error{Code: api.CodeInternal}, exitFailed},
		{t.Context(), fmt.Errorf("x: %w", context.DeadlineExceeded), exitTimedOut},
		{t.Context(), usagef("x"), exitUsage},
		{interrupted, context.Canceled, exitInterrupted},
	} {
		if got := (&app{started: true}).exitCode(tc.ctx, tc.err); got != tc.want {
			t.Errorf("%v: exit code %d, want %d", tc.err, got, tc.want)
		}
	}
}

// What a container, a DHCP server or a cloud named must not speak to the
// terminal, and must not change on its way through JSON and YAML.
const hostile = "a\x1b[31m\x9b\u009b2J\x07\r\n\t\u202etxt.exe\U000E0001\u00e9\U0001F600\x7f"

func TestHostileTextIsShownNotObeyed(t *testing.T) {
	t.Parallel()
	obeyed := func(s string) bool {
		return strings.ContainsAny(s, "\x1b\x07\r\t\x7f\u009b\u202e\U000E0001") || strings.Contains(s, "\x9b2")
	}
	view := api.ClaimView{Claim: nic.Claim{
		ID: nic.ClaimID(hostile), Container: hostile, Owner: nic.Owner{Node: hostile, Interface: hostile},
		Request:    nic.Request{Network: hostile, Faults: nic.Faults{{Field: hostile, Problem: hostile}}},
		Conditions: []nic.Condition{{Reason: hostile, Message: hostile}},
	}}
	for _, format := range formats() {
		var out bytes.Buffer
		p := &printer{out: &out, format: format, now: time.Now()}
		if err := p.print(claimKind(), []thing{newClaim(view)}, false); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if text := out.String(); obeyed(text) || !strings.Contains(text, "\u00e9") {
			t.Errorf("%s: %q", format, text)
		}
		if format == "table" && strings.Count(out.String(), "\n") != 2 {
			t.Errorf("a name has broken its line: %q", &out)
		}
	}
	if told := described(t, newClaim(view), time.Now()); obeyed(told) {
		t.Errorf("describe: %q", told)
	}
	var out, errs bytes.Buffer
	newApp(&out, &errs).run(t.Context(), []string{"get", hostile})
	if obeyed(errs.String()) {
		t.Errorf("errors: %q", &errs)
	}
}

func TestEncodingsSayTheSame(t *testing.T) {
	t.Parallel()
	want := map[string]any{}
	for i, text := range []string{
		strings.ToValidUTF8(hostile, "?"), "", " ", "1", "1e3", "0x10", "010", "true", "yes", "no", "null", "~", "12:34:56:10:20:30",
		"2026-01-01T00:00:00Z", "- a", "a: b", "#x", "&a", "*a", "{", "'", "\"", "\\", "a\nb", "\u2028", "-", "@", "!x", "<<", "fd00::1", "é",
	} {
		want[fmt.Sprint("k", i)] = text
	}
	want["number"], want["big"], want["list"], want["on"] = 7, 1<<53, []any{true, nil, "x"}, "on"
	for format, decode := range map[string]func([]byte, any) error{"json": json.Unmarshal, "yaml": yaml.Unmarshal} {
		var out bytes.Buffer
		if err := encode(&out, format, want); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		var got map[string]any
		if err := decode(out.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v\n%s", format, err, &out)
		}
		for key, w := range want {
			if g := got[key]; fmt.Sprint(g) != fmt.Sprint(w) && !numbersEqual(g, w) || reflect.TypeOf(w) == reflect.TypeFor[string]() && g != w {
				t.Errorf("%s: %s is %#v, want %#v", format, key, g, w)
			}
		}
		if format == "yaml" && !strings.Contains(out.String(), `"12:34:56:10:20:30"`) {
			t.Errorf("a MAC of digits is a number to older readers of YAML:\n%s", &out)
		}
	}
}

func numbersEqual(got, want any) bool {
	f, ok := got.(float64)
	n, isInt := want.(int)
	return ok && isInt && f == float64(n)
}

func TestConditionTellsItsTimes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		since, deadline time.Duration // from now; 0 is none
		want            string
	}{
		{0, 0, "R:   m\n"},
		{-time.Second, 0, "R:   m (for 1s)\n"},
		{-time.Second, time.Hour, "R:   m (for 1s, overdue in 60m)\n"},
		{-time.Hour, -time.Minute, "R:   m (for 60m, overdue since 60s)\n"},
	} {
		c := nic.Condition{Reason: "R", Message: "m"}
		if tc.since != 0 {
			c.Since = now.Add(tc.since)
		}
		if tc.deadline != 0 {
			c.Deadline = now.Add(tc.deadline)
		}
		s := &sheet{now: now}
		s.condition(c)
		var out bytes.Buffer
		if err := s.flush(&out); err != nil || out.String() != tc.want {
			t.Errorf("since %s, deadline %s: %v, %q; want %q", tc.since, tc.deadline, err, out.String(), tc.want)
		}
	}
}

// A node is described with what it may do: its tenants, and how far it is trusted.
func TestANodeIsDescribed(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	told := described(t, node{api.NodeView{
		Node:    nic.Node{Name: "n1", Phase: nic.NodeRevoked, Join: 3, Revoked: now.Add(-time.Hour)},
		Tenants: []string{"red", "blue\x1b[31m"}, CertificateEnds: now.Add(2 * time.Hour),
	}}, now)
	for _, want := range []string{`Tenants: +red,blue`, `Join: +3`, `Revoked: +2026-01-02T11:00:00Z \(60m ago\)`, `Certificate ends: +2026-01-02T14:00:00Z \(in 2h`} {
		if !regexp.MustCompile("(?m)^" + want).MatchString(told) {
			t.Errorf("no %q in\n%s", want, told)
		}
	}
	if strings.Contains(told, "\x1b") {
		t.Errorf("it is obeyed: %q", told)
	}
}

// A node is described with both of its capacities: NICs, and containers that share
// them. What a provider does not say is no hindrance.
func TestANodeIsDescribedWithItsRoom(t *testing.T) {
	for want, r := range map[string]api.NodeRoom{
		`cloud: +2 of 4 network interfaces free; seats on shared NICs: 3 taken, 1 free, and 28 on NICs that can be added`: {
			Provider: "cloud", Slot: "network interface", NICs: 4, Free: 2, Seats: &api.SeatRoom{Taken: 3, Free: 1, More: 28},
		},
		`local: +7 of 8 slots free$`:  {Provider: "local", Slot: "slot", NICs: 8, Free: 7},
		`cloud: +no answer; seats on`: {Provider: "cloud", Problem: "no answer", Seats: &api.SeatRoom{Taken: 3}},
	} {
		told := described(t, roomyNode{newNode(api.NodeView{Node: nic.Node{Name: "n1"}}), []api.NodeRoom{r}, nil}, time.Time{})
		if !regexp.MustCompile("(?m)^  " + want).MatchString(told) {
			t.Errorf("no %q in\n%s", want, told)
		}
	}
}

// described is what is said of a thing, at that time.
func described(t *testing.T, of interface{ describe(*sheet) }, now time.Time) string {
	t.Helper()
	var out strings.Builder
	s := &sheet{now: now}
	of.describe(s)
	if err := s.flush(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 125 * time.Second: "2m5s",
		45 * time.Minute: "45m", 3 * time.Hour: "3h", 47*time.Hour + 59*time.Minute: "47h", 49 * time.Hour: "2d", 800 * time.Hour: "33d",
	} {
		if got := age(now, now.Add(-d)); got != want {
			t.Errorf("%s ago: %q, want %q", d, got, want)
		}
	}
	if got := age(now, time.Time{}); got != "" {
		t.Errorf("never: %q", got)
	}
}
