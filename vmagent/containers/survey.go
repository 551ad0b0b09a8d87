//go:build linux

package containers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/nic"
)

// Survey says what counts of the node for a move: of a container called task.Name,
// of image task.Ref or task.Image, with task.Volumes and task.Networks. Moves is
// not filled in. Memory and disk are those of the machine that the agent is on.
func (e *Engine) Survey(ctx context.Context, task nic.Task) (nic.NodeFacts, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	info, err := e.docker.client.Info(ctx)
	if err != nil {
		return nic.NodeFacts{}, e.docker.wrap("ask Docker what it runs on", err)
	}
	f := nic.NodeFacts{
		Docker: info.ServerVersion, Arch: info.Architecture, OS: info.OSType, Driver: info.Driver,
		LogDrivers: slices.Sorted(slices.Values(info.Plugins.Log)), NoCheckpoint: e.noCheckpoint(ctx, info.ExperimentalBuild),
	}
	if f.Memory, err = memoryAvailable(); err != nil {
		return f, err
	}
	disk, err := diskOf(info.DockerRootDir)
	if err != nil {
		return f, err
	}
	f.Disk = disk.free
	if task.Name != "" {
		r, err := e.look(ctx, task.Name, false)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return f, err
		}
		f.NameUsed = err == nil && r.Name == "/"+task.Name // it may be the beginning of an id
	}
	for _, ref := range []string{task.Ref, task.Image} {
		if ref == "" || f.HasImage {
			continue
		}
		id, err := e.imageID(ctx, ref)
		if err != nil {
			return f, err
		}
		f.HasImage = id != ""
	}
	for _, name := range task.Volumes {
		_, found, err := e.volume(ctx, name)
		if err != nil {
			return f, err
		}
		if found {
			f.Volumes = append(f.Volumes, name)
		}
	}
	for _, name := range task.Networks {
		if err := checkName("network", name); err != nil {
			return f, err
		}
		_, err := e.docker.client.NetworkInspect(ctx, name, network.InspectOptions{})
		switch {
		case err == nil:
			f.Networks = append(f.Networks, name)
		case !cerrdefs.IsNotFound(err):
			return f, e.docker.wrapOther("inspect network "+name, err)
		}
	}
	return f, nil
}

// memoryAvailable is what the kernel thinks can be used without swapping.
func memoryAvailable() (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read available memory: %w", err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) > 1 && fields[0] == "MemAvailable:" {
			kb, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read available memory: %w", err)
			}
			return kb << 10, nil
		}
	}
	return 0, errors.New("read available memory: /proc/meminfo has no MemAvailable")
}

// disk is the room of a file system, in bytes, and in files where it bounds those.
type disk struct{ free, total, freeFiles, files int64 }

func diskOf(dir string) (disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return disk{}, fmt.Errorf("look for room in %s, where Docker keeps its data: %w", dir, err)
	}
	return disk{int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, int64(st.Ffree), int64(st.Files)}, nil
}
