package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/conf"
)

// runTime bounds a program that Mend runs.
const runTime = 20 * time.Second

// Programs runs a program to its end, for Machine.Run.
func Programs(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, fmt.Errorf("%s does not end within %s", name, runTime))
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("run %s %s: %w: %.200q", name, strings.Join(args, " "), err, out)
	}
	return out, err
}

const modulesHead = "# Written by nicferry doctor --fix; nicferry doctor --undo removes it.\n"

// mendModules loads what nobody loads, now and at each boot.
func (v *visit) mendModules(ctx context.Context) (did []string, err error) {
	names := v.toLoad()
	if len(names) == 0 {
		return nil, nil
	}
	old, there := v.read(modulesFile)
	text := old
	if !strings.HasPrefix(old, modulesHead) {
		text = modulesHead
	}
	for _, name := range names {
		if !slices.Contains(strings.Split(text, "\n"), name) {
			text += name + "\n"
		}
	}
	switch {
	case there && !strings.HasPrefix(old, modulesHead):
		did = append(did, "left /"+modulesFile+", which somebody else wrote")
	case text != old:
		if err := v.write(dropIn{modulesFile, []byte(text)}); err != nil {
			return did, fmt.Errorf("write /%s: %w", modulesFile, err)
		}
		did = append(did, "wrote /"+modulesFile)
	}
	for _, name := range names {
		if v.Run == nil {
			continue
		}
		if _, rErr := v.Run(ctx, "modprobe", "--", name); rErr != nil {
			err = errors.Join(err, rErr)
			continue
		}
		did = append(did, "ran modprobe "+name)
	}
	return did, err
}

// mendModes takes rights from others. It gives none, and follows no link.
func (v *visit) mendModes(context.Context) (did []string, err error) {
	for _, g := range append(v.guardedPaths(), v.keys()...) {
		info, lErr := os.Lstat(v.path(g.path))
		if lErr != nil || shared(g.path) || info.Mode().Perm()&g.not == 0 {
			continue
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			continue // its own mode says nothing, and what it leads to may be anybody's
		}
		want := info.Mode() &^ g.not
		cErr := v.record(change{Mode: g.path, Was: octal(info.Mode())}, func() error { return os.Chmod(v.path(g.path), want) })
		if cErr != nil {
			err = errors.Join(err, fmt.Errorf("take rights on %s: %w", g.path, cErr))
			continue
		}
		did = append(did, fmt.Sprintf("ran chmod %s %s, which was %s", octal(want), g.path, octal(info.Mode())))
	}
	return did, err
}

// mendGroup makes the socket's group.
func (v *visit) mendGroup(ctx context.Context) (did []string, err error) {
	if v.controller == nil || v.Run == nil {
		return nil, nil
	}
	group := or(v.controller.SocketGroup, conf.DefaultSocketGroup)
	if _, there := v.members(group); there {
		return nil, nil
	}
	err = v.record(change{Group: group}, func() error {
		_, err := v.Run(ctx, "groupadd", "--system", "--", group)
		return err
	})
	if err != nil {
		return nil, err
	}
	return []string{"ran groupadd --system " + group}, nil
}

// mendDirs makes the directories of store and socket, each only where what it
// lies in is there.
func (v *visit) mendDirs(context.Context) (did []string, err error) {
	if v.controller == nil {
		return nil, nil
	}
	for _, d := range []struct {
		path string
		mode fs.FileMode
	}{
		{path.Dir(v.controller.Store), 0o700},
		{path.Dir(v.controller.Socket), 0o775 | fs.ModeSticky},
	} {
		if v.exists(d.path) || !v.exists(path.Dir(d.path)) || d.path == "." { // there is no file where etcd has the records
			continue
		}
		mErr := v.record(change{Dir: d.path}, func() error { return v.makeDir(d.path, d.mode) })
		if mErr != nil {
			err = errors.Join(err, fmt.Errorf("make %s: %w", d.path, mErr))
			continue
		}
		did = append(did, "made "+d.path)
	}
	return did, err
}

// makeDir makes a directory: a private one is the controller's account's, if
// there is one, any other is root's and its group's.
func (v *visit) makeDir(dir string, mode fs.FileMode) error {
	if err := os.Mkdir(v.path(dir), 0o700); err != nil {
		return err
	}
	uid, gid, ok := v.account("nicferry")
	if mode.Perm()&0o070 != 0 {
		uid = -1
	}
	var err error
	if ok {
		err = os.Chown(v.path(dir), uid, gid)
	}
	return errors.Join(err, os.Chmod(v.path(dir), mode))
}
