//go:build linux

package migrate

import (
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hush is part of all secrets here.
const hush = "hunter2-Zk8wQ"

// S16, of moves: what a container's configuration, its health check's words and its
// volume hold is in no output and no file of the controller or the agents, of a move
// that gets done and of one that goes back.
func TestS16_NoSecretOfAMovedContainer(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	s := r.scene(t, "both", []string{
		"--volume", "%s:/data", "--env", "DB_PASSWORD=env-" + hush, "--label", "com.example.token=label-" + hush,
		"--log-opt", "tag=log-" + hush, "--health-interval", "200ms", "--health-retries", "1",
		"--health-cmd", `echo "$DB_PASSWORD health-` + hush + `"; test -e /data/healthy`,
	}, "sh", "-c", "echo volume-"+hush+" > /data/kept; exec /bin/echo-server", "argument-"+hush)
	all := map[string]string{}
	say := func(what string, args ...string) {
		out, err := r.CLI(ctx, args...)
		if err != nil {
			out += "\n" + err.Error()
		}
		all[what] = out
	}
	say("a move that goes back", "migrate", s.name, "--to", "vm2", "--volumes", "copy", "--layer", "copy", "--wait", "5s")
	s.settled(r.vm1)
	if !strings.Contains(all["a move that goes back"], "its check ended with status 1") {
		t.Errorf("it is not said why:\n%s", all["a move that goes back"])
	}
	_, err := r.vm1.Docker(ctx, "exec", s.name, "touch", "/data/healthy")
	s.do(err)
	_, err = r.vm2.Docker(ctx, "create", "--name", s.name, "--env", "OTHER="+hush, echoImage) // it is in the way
	s.do(err)
	say("a plan with refusals", "migrate", s.name, "--to", "vm2", "--dry-run", "-o", "json")
	_, err = r.vm2.Docker(ctx, "rm", s.name)
	s.do(err)
	say("a plan", "migrate", s.name, "--to", "vm2", "--volumes", "copy", "--layer", "copy", "--dry-run", "-o", "json")
	say("a move", "migrate", s.name, "--to", "vm2", "--volumes", "copy", "--layer", "copy", "--wait", "10s", "-o", "json")
	s.settled(r.vm2)
	bundle := r.File("bundle.tar.gz")
	for _, args := range []string{
		"get moves -o json", "get moves -o wide", "describe move " + s.name, "get claims -o yaml", "events -o json", "status -o json", "audit", "bundle --out " + bundle,
	} {
		say(args, strings.Fields(args)...)
	}
	all["bundle"], err = r.Machine.Run(ctx, "tar", "-xOzf", bundle)
	s.do(err)
	s.do(os.Remove(bundle))
	all["log of the controller"] = r.Log()
	dirs := []string{r.Machine.Dir()}
	for _, a := range r.Agents {
		all["log of "+a.Name] = a.Log()
		dirs = append(dirs, a.File("agent"))
	}
	files := readAll(t, all, dirs)
	if _, searched := all[r.StorePath()]; !searched || files < 4 {
		t.Errorf("%d files were searched, the store is among them: %v", files, searched)
	}
	for what, text := range all {
		for _, form := range []string{hush, base64.StdEncoding.EncodeToString([]byte("env-" + hush))[:16], hex.EncodeToString([]byte(hush))} {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("%s has a secret: …%q…", what, text[max(0, at-200):min(len(text), at+50)])
			}
		}
	}
}

// readAll adds the files below the directories, and says how many those are.
func readAll(t *testing.T, all map[string]string, dirs []string) (files int) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			all[path] = string(data)
			files++
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	return files
}
