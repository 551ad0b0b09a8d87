package buildtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dpkg takes what deb-version says, and sorts it as the commits came.
func TestDebVersion(t *testing.T) {
	repo := t.TempDir()
	script, err := filepath.Abs(filepath.Join(root, "scripts", "deb-version"))
	if err != nil {
		t.Fatal(err)
	}
	in := func(env []string, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = repo
		cmd.Env = slices.Concat(os.Environ(), []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null"}, env)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	var versions []string
	step := func(date, tag, want string) {
		t.Helper()
		if date != "" {
			in([]string{"GIT_COMMITTER_DATE=" + date}, "git", "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-q", "--allow-empty", "-m", "x")
		}
		if tag != "" {
			in(nil, "git", "tag", tag)
		}
		got := in(nil, script)
		if want = strings.ReplaceAll(want, "HASH", in(nil, "git", "rev-parse", "--short=12", "HEAD")); got != want {
			t.Errorf("the version is %s, want %s", got, want)
		}
		versions = append(versions, got)
	}
	if got := in(nil, script); got != "0.0~unknown" {
		t.Errorf("without git the version is %s", got)
	}
	versions = append(versions, "0.0~git")
	in(nil, "git", "init", "-q")
	step("2026-01-02T03:04:05+01:00", "", "0.0~git20260102020405.HASH")
	step("2026-01-02T03:04:06+01:00", "", "0.0~git20260102020406.HASH")
	step("2026-01-03T00:00:00Z", "v0.1.0-rc.1", "0.1.0~rc.1")
	step("2026-01-04T00:00:00Z", "", "0.1.0~rc.1+git20260104000000.HASH")
	step("2026-01-05T00:00:00Z", "v0.1.0-rc.2", "0.1.0~rc.2")
	step("2026-01-06T00:00:00Z", "v0.1.0", "0.1.0")
	step("2026-01-07T00:00:00Z", "", "0.1.0+git20260107000000.HASH")
	step("2026-01-08T00:00:00Z", "nightly", "0.1.0+git20260108000000.HASH")
	step("2026-01-09T00:00:00Z", "v0.1.1", "0.1.1")
	for i := range versions[1:] {
		in(nil, "dpkg", "--compare-versions", versions[i], "lt", versions[i+1])
	}
	if err := os.WriteFile(filepath.Join(repo, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	in(nil, "git", "add", "file")
	step("", "", "0.1.1+dirty")
}

// A package's unit is the one that people copy by hand, and that the tests of
// privileges read, but for where the program is.
func TestPackagedUnits(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(root, "scripts", "deb"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nicferryd", "nicferry-agent"} {
		unit, err := os.ReadFile(filepath.Join(root, "packaging", "systemd", name+".service"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(unit), "\nExecStart=/usr/local/bin/"+name+"\n") || strings.Count(string(unit), "/usr/local") != 1 {
			t.Errorf("%s.service: want one path below /usr/local, in ExecStart", name)
		}
		if head, _, _ := strings.Cut(string(unit), "\n\n"); !strings.Contains(head, "Copy to") || strings.Contains(head, "[Unit]") {
			t.Errorf("%s.service does not begin with a paragraph on how to copy it, which packages leave out:\n%s", name, head)
		}
	}
	if want := `-e 's#/usr/local/bin/#/usr/bin/#' -e '1,/^$/d'`; !strings.Contains(string(script), want) {
		t.Errorf("scripts/deb does not have %s", want)
	}
}
