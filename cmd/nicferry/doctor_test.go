package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/doctor"
)

func TestDoctorShows(t *testing.T) {
	t.Parallel()
	findings := []doctor.Finding{
		{Check: "clock", State: doctor.OK, Says: "the clock follows another"},
		{Check: "udev", State: doctor.Fail, Says: hostile, Remedy: hostile},
	}
	for _, format := range []string{"table", "json", "yaml"} {
		var out bytes.Buffer
		d := &doctorCommand{app: newApp(&out, &out), format: format}
		if err := d.show(findings); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); strings.ContainsAny(text, "\x1b\x07\r\t\x7f\u009b\u202e") || !strings.Contains(text, "FAIL") {
			t.Errorf("%s: %q", format, text)
		}
		var got struct {
			State    doctor.State
			Findings []doctor.Finding
		}
		if format == "json" && (json.Unmarshal(out.Bytes(), &got) != nil || got.State != doctor.Fail || len(got.Findings) != 2) {
			t.Errorf("as JSON: %+v\n%s", got, &out)
		}
	}
}

// The doctor runs as it is, reads and changes nothing, and says something of
// each check; whether that is good is this machine's business.
func TestDoctorRuns(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	code := newApp(&out, &errs).run(t.Context(), []string{"doctor", "-o", "json", "--config", "/nonexistent"})
	var got struct {
		State    doctor.State
		Findings []doctor.Finding
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s%s", err, &out, &errs)
	}
	if want := map[bool]int{true: exitFailed, false: exitOK}[got.State == doctor.Fail]; code != want {
		t.Errorf("state %s, exit code %d; want %d", got.State, code, want)
	}
	seen := map[string]bool{}
	for _, f := range got.Findings {
		seen[f.Check] = true
	}
	for _, check := range []string{"kernel", "rtnl", "hotplug", "drop-ins", "grabbed", "docker", "agent", "controller"} {
		if !seen[check] {
			t.Errorf("nothing said of %s", check)
		}
	}
}

func TestDoctorUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--fix", "--undo"}, {"-o", "xml"}, {"web"}} {
		var out, errs bytes.Buffer
		if code := newApp(&out, &errs).run(t.Context(), append([]string{"doctor"}, args...)); code != exitUsage {
			t.Errorf("%q: exit code %d, want %d: %s", args, code, exitUsage, &errs)
		}
	}
}
