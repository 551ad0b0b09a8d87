//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// After a join a person is told what is left to do, also where there is no config
// yet, without which the agent does not start.
func TestWhatIsLeftAfterAJoin(t *testing.T) {
	t.Parallel()
	j := &join{config: filepath.Join(t.TempDir(), "agent.yaml")}
	if said := j.next(); !strings.HasPrefix(said, "now write "+j.config) || !strings.Contains(said, `"version: 1"`) {
		t.Errorf("without a config: %s", said)
	}
	if err := os.WriteFile(j.config, []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := j.readConfig(); err != nil {
		t.Errorf("the line is not enough: %v", err)
	}
	if said := j.next(); !strings.HasPrefix(said, "now start nicferry-agent") {
		t.Errorf("with a config: %s", said)
	}
}

// A word that is no command is told as that.
func TestUnknownCommand(t *testing.T) {
	t.Parallel()
	cmd := command()
	cmd.SetArgs([]string{"joi"})
	if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), `unknown command "joi"; see nicferry-agent --help`) {
		t.Errorf("joi: %v", err)
	}
}
