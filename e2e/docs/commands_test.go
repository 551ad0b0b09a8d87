//go:build linux

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// subcommands are those that the help of a command names.
func subcommands(t *testing.T, path ...string) []string {
	t.Helper()
	help, err := exec.CommandContext(t.Context(), filepath.Join(bin, "nicferry"), append(path, "--help")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(help), "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^  (\S+)`).FindAllStringSubmatch(list, -1) {
		all = append(all, m[1])
	}
	return all
}

// The README's table has each command of the command line, and each one below it.
func TestReadmeHasAllCommands(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## The command line")
	section, _, _ = strings.Cut(section, "\n## ")
	commands := subcommands(t)
	if len(commands) < 12 {
		t.Errorf("the help names only %q", commands)
	}
	for _, command := range commands {
		if command == "help" {
			continue
		}
		row := regexp.MustCompile("(?m)^\\| .*`" + command + "\\b.*$").FindString(section)
		if row == "" {
			t.Errorf("no row of the README's table has nicferry %s", command)
		}
		if command == "completion" { // has one for each shell
			continue
		}
		for _, sub := range subcommands(t, command) {
			if !regexp.MustCompile("\\b" + sub + "\\b").MatchString(row) {
				t.Errorf("the README's row of nicferry %s has no %s", command, sub)
			}
		}
	}
}
