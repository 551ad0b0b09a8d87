//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		want options
		err  string
	}{
		{"true", options{30 * time.Second, []string{"eth0"}, familyAny, []string{"true"}}, ""},
		{"-- true", options{30 * time.Second, []string{"eth0"}, familyAny, []string{"true"}}, ""},
		{"--timeout 2m --interface eth0 --interface=eth1 --address v6 -- a --timeout 3s", options{2 * time.Minute, []string{"eth0", "eth1"}, familyV6, []string{"a", "--timeout", "3s"}}, ""},
		{"--timeout 0 a -- b", options{0, []string{"eth0"}, familyAny, []string{"a", "--", "b"}}, ""},
		{"", options{}, "no command"},
		{"--", options{}, "no command"},
		{"--timeout -1s a", options{}, "no less than 0"},
		{"--timeout soon a", options{}, "-timeout"},
		{"--address v5 a", options{}, "want any, v4 or v6"},
		{"--interface ../eth0 a", options{}, "want a name"},
		{"--interface 1234567890123456 a", options{}, "want a name"},
		{"--wait a", options{}, "-wait"},
		{"--help", options{}, errHelp.Error()},
	} {
		got, err := parse(strings.Fields(tt.args))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.args, err, tt.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v; want %+v", tt.args, got, err, tt.want)
		}
	}
}

func TestReadIPv6(t *testing.T) {
	t.Parallel()
	const (
		addr  = "fd770000000000000000000000000001 02 40 "
		local = "fe80000000000000000000000000000a 02 40 20 80     eth0\n"
		loop  = "00000000000000000000000000000001 01 80 10 80       lo\n"
	)
	for name, tt := range map[string]struct {
		text           string
		usable, probed bool
	}{
		"none":              {"", false, false},
		"others":            {loop + local + addr + "00 80 eth1\n", false, false},
		"global":            {loop + local + addr + "00 80     eth0\n", true, false},
		"flags of 3 digits": {addr + "00 200 eth0\n", true, false},
		"tentative":         {addr + "00 40 eth0\n", false, true},
		"optimistic":        {addr + "00 44 eth0\n", false, true},
		"one of two":        {addr + "00 c0 eth0\n" + addr + "00 80 eth0\n", true, true},
		"duplicate":         {addr + "00 c8 eth0\n", false, false},
		"nonsense":          {"a b c d e eth0\n" + addr + "0 eth0\nx", false, false},
	} {
		if usable, probed := readIPv6(tt.text, "eth0"); usable != tt.usable || probed != tt.probed {
			t.Errorf("%s: got %t, %t", name, usable, probed)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for path, mode := range map[string]os.FileMode{
		filepath.Join(a, "both"): 0o644, filepath.Join(b, "both"): 0o755, filepath.Join(a, "plain"): 0o644, filepath.Join(a, "folder", "x"): 0o755,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "none") + ":" + a + ":" + filepath.Join(a, "plain") + ":" + b
	for name, want := range map[string]struct {
		path string
		code int
	}{
		"both":                       {filepath.Join(b, "both"), 0}, // execvp goes on after one that it may not execute
		filepath.Join(a, "folder/x"): {filepath.Join(a, "folder/x"), 0},
		"plain":                      {"", exitNotExecutable},
		"folder":                     {"", exitNotExecutable},
		filepath.Join(a, "plain"):    {"", exitNotExecutable},
		"nothing":                    {"", exitNotFound},
		"":                           {"", exitNotFound},
		filepath.Join(a, "both/x"):   {"", exitNotFound},
	} {
		got, err := find(name, path)
		if want.code == 0 && (err != nil || got != want.path) {
			t.Errorf("%q: got %q, %v; want %q", name, got, err, want.path)
		}
		if want.code != 0 && (err == nil || code(err) != want.code) {
			t.Errorf("%q: got %q, %v; want exit code %d", name, got, err, want.code)
		}
	}
	if _, err := find("sh", ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("with an empty PATH: %v", err)
	}
}
