package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTheImageAmongDockersArguments(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]dockerImage{
		"dpdk":                             {name: "dpdk"},
		"--rm dpdk sh -c x":                {name: "dpdk"},
		"--rm=false --init dpdk":           {name: "dpdk"},
		"-v /a:/b dpdk -v c":               {name: "dpdk"},
		"-v/a:/b dpdk":                     {name: "dpdk"},
		"-it dpdk":                         {name: "dpdk"},
		"-itv /a:/b dpdk":                  {name: "dpdk"},
		"-itv/a:/b dpdk":                   {name: "dpdk"},
		"-i=false dpdk":                    {name: "dpdk"},
		"-e=A=B dpdk":                      {name: "dpdk"},
		"-e A=B --env C=D dpdk":            {name: "dpdk"},
		"-h host dpdk":                     {name: "dpdk"},
		"-e -it dpdk":                      {name: "dpdk"}, // a value, whatever it looks like
		"--entrypoint -- dpdk":             {name: "dpdk"},
		"--rm -- dpdk --rm":                {name: "dpdk"},
		"--new-flag=x dpdk":                {name: "dpdk"}, // with a value of its own
		"--cpuset-cpus 0-3 reg:5000/a/b:c": {name: "reg:5000/a/b:c"},
		"a@sha256:00":                      {name: "a@sha256:00"},
		"--pull always dpdk":               {name: "dpdk", pull: "always"},
		"--pull=never --pull=missing dpdk": {name: "dpdk", pull: "missing"},
		"-q --platform linux/arm64 dpdk":   {name: "dpdk", with: []string{"--quiet=true", "--platform=linux/arm64"}},
		"--quiet=false --disable-content-trust=false dpdk": {
			name: "dpdk", with: []string{"--quiet=false", "--disable-content-trust=false"},
		},
		"dpdk --platform x --pull never": {name: "dpdk"},
	} {
		got, told := dockerRun{rest: strings.Fields(args)}.image()
		if !told || got.name != want.name || got.pull != want.pull || !slices.Equal(got.with, want.with) {
			t.Errorf("%s: got %+v, %v; want %+v", args, got, told, want)
		}
	}
	for _, args := range [][]string{
		{},
		{""},
		{"-"},
		{"--"},
		{"--", "-x"},
		{"--", ""},
		{"--rm"},
		{"-it"},
		{"-v"},
		{"--volume"},
		{"--volume", "dpdk"},
		{"-v", "dpdk"},
		{"--rm", ""},
		{"--new-flag", "dpdk", "sh"}, // is it dpdk, or sh?
		{"-X", "dpdk"},
		{"-iX", "dpdk"},
		{"-i=", "dpdk"},
		{"--=x", "dpdk"},
		{"---rm", "dpdk"},
		{"--help", "dpdk"},
		{"-\x00", "dpdk"},
		{"-ü", "dpdk"},
		{"-\xff", "dpdk"},
	} {
		if got, told := (dockerRun{rest: args}).image(); told {
			t.Errorf("%q: got %+v; want that it cannot be told", args, got)
		}
	}
}

// docker-run.flags is what docker run --help of Docker 28.2 has of each flag.
func TestDockersFlagsAreKnown(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/docker-run.flags")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(strings.ReplaceAll(line, ",", ""))
		names := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !strings.HasPrefix(w, "-") })
		for _, name := range names {
			name = strings.TrimLeft(name, "-")
			if name == "help" {
				continue
			}
			if takes := len(words) > len(names); dockerTakes(name) != takes || dockerSwitch(name) == takes {
				t.Errorf("%s: taken for a switch is %v, for one that takes a value %v", name, dockerSwitch(name), dockerTakes(name))
			}
		}
	}
}

func FuzzTheImageAmongDockersArguments(f *testing.F) {
	f.Add("-itv\n/a:/b\n--rm\ndpdk\nsh")
	f.Add("--\n-x")
	f.Add("-e=\n--pull=\n\xff")
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		found, told := dockerRun{rest: args}.image()
		if told && (found.name == "" || found.name[0] == '-' || !slices.Contains(args, found.name)) {
			t.Errorf("%q: got %+v", args, found)
		}
	})
}

// An image that is not here is pulled before anything is reserved.
func TestRunPullsTheImageFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args, asked string
	}{
		{"dpdk", "image inspect --format {{.Id}} dpdk"},
		{"big sh", "image inspect --format {{.Id}} big|pull big"},
		{"--pull always -q dpdk", "pull --quiet=true dpdk"},
		{"--pull never big", ""},
		{"--pull sometimes big", ""}, // docker says what it makes of it
		{"--platform linux/arm64 big", "image inspect --format {{.Os}}/{{.Architecture}} big|pull --platform=linux/arm64 big"},
		{"--new-flag big", ""},
	} {
		r := newRunRig(t, 0)
		r.adopts = true
		args := strings.Fields(c.args)
		if code := r.run(t, append([]string{"--on", "fast", "--"}, args...)...); code != exitOK {
			t.Errorf("%s: exit code %d: %s", c.args, code, &r.errs)
		}
		text, _ := os.ReadFile(r.asked) // not at all
		if got := strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "|"); got != c.asked {
			t.Errorf("%s: docker was asked %q; want %q", c.args, got, c.asked)
		}
		if !strings.HasSuffix(r.told(), " "+c.args) {
			t.Errorf("%s: docker ran %q", c.args, r.told())
		}
		if pulls := strings.Contains(c.asked, "pull"); strings.Contains(r.errs.String(), "layers of") != pulls || r.out.Len() != 0 {
			t.Errorf("%s: it printed %q, and %q", c.args, &r.errs, &r.out)
		}
	}
}

// An image that docker cannot pull ends it as docker run would, and nothing was reserved.
func TestRunReservesNothingWithoutItsImage(t *testing.T) {
	t.Parallel()
	r := newRunRig(t, 0)
	if code := r.run(t, "--on", "fast", "--", "--rm", "none"); code != dockerFailed {
		t.Errorf("exit code %d; want docker's", code)
	}
	if got := r.errs.String(); !strings.Contains(got, "no such image") || !strings.Contains(got, "docker pull of none failed, and no NIC was reserved") {
		t.Errorf("it says %q", got)
	}
	if n := r.acquired.Load(); n != 0 || r.told() != "" {
		t.Errorf("%d claims were asked for, and docker was told %q", n, r.told())
	}
}
