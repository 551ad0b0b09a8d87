//go:build linux

package containers

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"github.com/nicferry/nicferry/nic"
)

// imageID is the id of what a reference names here, or empty.
func (e *Engine) imageID(ctx context.Context, ref string) (string, error) {
	if err := checkImage(ref); err != nil {
		return "", err
	}
	i, err := e.docker.client.ImageInspect(ctx, ref)
	if cerrdefs.IsNotFound(err) {
		return "", nil
	}
	return i.ID, e.docker.wrapOther("inspect image "+ref, err)
}

func (e *Engine) saveImage(ctx context.Context, id string) (io.ReadCloser, int64, error) {
	if err := checkImage(id); err != nil {
		return nil, 0, err
	}
	i, err := e.docker.client.ImageInspect(ctx, id)
	if err != nil {
		return nil, 0, e.docker.wrapOther("inspect image "+id, err)
	}
	r, err := e.docker.client.ImageSave(ctx, []string{i.ID})
	return r, i.Size, e.docker.wrapOther("save image "+id, err)
}

// loadImage loads an image, and sees that it is the one with the id.
func (e *Engine) loadImage(ctx context.Context, id string, body io.Reader) error {
	root, err := e.docker.client.Info(ctx)
	if err != nil {
		return e.docker.wrap("ask Docker where it keeps its data", err)
	}
	d, err := diskOf(root.DockerRootDir)
	if err != nil {
		return err
	}
	room := &gauge{room: max(0, d.free-d.spared())}
	nameless := piped(func(w io.Writer) error { return withoutNames(w, body, room) })
	defer nameless.Close()
	resp, err := e.docker.client.ImageLoad(ctx, nameless)
	if err != nil {
		return e.docker.wrapOther("load image "+id, err)
	}
	defer resp.Body.Close()
	if err := follow(resp.Body, func(int64, int64) {}); err != nil {
		return fmt.Errorf("load image %s: %w", id, err)
	}
	got, err := e.imageID(ctx, id)
	if err == nil && got == "" {
		err = fmt.Errorf("load image %s: %w: Docker has taken another one; one of the nodes may keep images by containerd, and the other not", id, ErrRefused)
	}
	return err
}

// maxManifest bounds the parts of an image's archive that hold names.
const maxManifest = 4 << 20

// withoutNames copies an archive of docker save without the names that its images
// are to get: another node must not say what a name means on this one. It fails where
// what is in it would not fit into the room.
func withoutNames(w io.Writer, r io.Reader, room *gauge) error {
	from, to := tar.NewReader(r), tar.NewWriter(w)
	for {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read image: %w", err)
		}
		var body io.Reader = from
		base := path.Base(h.Name)
		switch base {
		case "repositories", "manifest.json", "index.json":
			// Another way to such a file would lead around us.
			if h.Name != base || h.Typeflag != tar.TypeReg {
				return fmt.Errorf("read image: %w: it has %q, which docker save does not write", ErrRefused, clip(h.Name))
			}
		}
		switch base {
		case "repositories":
			continue
		case "manifest.json", "index.json":
			data, err := io.ReadAll(io.LimitReader(from, maxManifest+1))
			if err == nil && len(data) > maxManifest {
				err = fmt.Errorf("more than %d bytes", maxManifest)
			}
			if err == nil {
				data, err = nameless(data)
			}
			if err != nil {
				return fmt.Errorf("read %s of image: %w", h.Name, err)
			}
			h.Size, body = int64(len(data)), bytes.NewReader(data)
		}
		if err := to.WriteHeader(h); err != nil {
			return fmt.Errorf("pass on image: %w", err)
		}
		if err := room.copy(to, body); err != nil {
			return fmt.Errorf("pass on image: %w", err)
		}
	}
	if err := to.Close(); err != nil {
		return fmt.Errorf("pass on image: %w", err)
	}
	_, err := io.Copy(io.Discard, r) // what is after its end
	return err
}

// nameless drops names from a manifest.json or an index.json.
func nameless(data []byte) ([]byte, error) {
	var list any
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	images, is := list.([]any)
	if index, oci := list.(map[string]any); oci {
		images, is = index["manifests"].([]any)
		list = drop(index, "manifests", "annotations")
		index["manifests"] = images
	}
	if !is {
		return nil, errors.New("no list of images")
	}
	for _, i := range images {
		if m, is := i.(map[string]any); is {
			drop(m, "RepoTags", "annotations")
		}
	}
	return json.Marshal(list)
}

// drop deletes keys however they are written: to Docker, case does not matter.
func drop(m map[string]any, keys ...string) map[string]any {
	maps.DeleteFunc(m, func(k string, _ any) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return strings.EqualFold(k, key) })
	})
	return m
}

// Pull gets the image task.Ref, such as NAME@sha256:…, from its registry, unless
// task.Image, its id, is there; it is an error if it brings another one.
func (e *Engine) Pull(ctx context.Context, task nic.Task, progress func(bytes, total int64)) error {
	has := func() (bool, error) {
		if task.Image == "" {
			return false, nil
		}
		id, err := e.imageID(ctx, task.Image)
		return id != "", err
	}
	if there, err := has(); err != nil || there {
		return err
	}
	if err := checkImage(task.Ref); err != nil {
		return err
	}
	body, err := e.docker.client.ImagePull(ctx, task.Ref, image.PullOptions{})
	switch {
	case cerrdefs.IsNotFound(err), cerrdefs.IsUnauthorized(err), cerrdefs.IsPermissionDenied(err), cerrdefs.IsInvalidArgument(err):
		return fmt.Errorf("pull image %s: %w: %w", task.Ref, ErrRefused, err)
	case err != nil:
		return fmt.Errorf("pull image %s: %w: %w", task.Ref, ErrAgain, err)
	}
	defer body.Close()
	if err := follow(body, progress); err != nil {
		return fmt.Errorf("pull image %s: %w: %w", task.Ref, ErrAgain, err)
	}
	there, err := has()
	if err == nil && !there && task.Image != "" {
		err = fmt.Errorf("pull image %s: %w: the registry has another one than %s", task.Ref, ErrRefused, task.Image)
	}
	return err
}

// follow reads Docker's messages to their end, and adds up how far its layers are.
func follow(body io.Reader, progress func(bytes, total int64)) error {
	type layer struct{ Current, Total int64 }
	layers := map[string]layer{}
	for d := json.NewDecoder(body); ; {
		var m struct {
			ID             string `json:"id"`
			Status         string `json:"status"`
			ProgressDetail layer  `json:"progressDetail"`
			Error          string `json:"error"`
		}
		err := d.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read what Docker says: %w", err)
		case m.Error != "":
			return errors.New(clip(strings.TrimSpace(m.Error)))
		case m.Status != "Downloading" || len(layers) > maxImages:
			continue
		}
		layers[m.ID] = m.ProgressDetail
		var bytes, total int64
		for _, l := range layers {
			bytes, total = bytes+l.Current, total+l.Total
		}
		progress(bytes, total)
	}
}
