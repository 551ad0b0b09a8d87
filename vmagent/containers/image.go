//go:build linux

package containers

import (
	"context"
	"errors"
	"sync"
)

// maxImages bounds how many images' labels are remembered.
const maxImages = 256

// images remembers the labels of images, which never change under one id.
type images struct {
	mu     sync.Mutex
	labels map[string]map[string]string
}

func (i *images) get(id string) (labels map[string]string, known bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	labels, known = i.labels[id]
	return labels, known
}

func (i *images) put(id string, labels map[string]string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.labels == nil || len(i.labels) >= maxImages {
		i.labels = map[string]map[string]string{}
	}
	i.labels[id] = labels
}

// imageLabels are the labels that an image gives to its containers. Of an image
// that was removed by force nothing is known: none.
func (d *docker) imageLabels(ctx context.Context, id string) (map[string]string, error) {
	if labels, known := d.images.get(id); known {
		return labels, nil
	}
	image, err := d.client.ImageInspect(ctx, id)
	if err = d.wrap("inspect image "+id, err); errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var labels map[string]string
	if image.Config != nil {
		labels = image.Config.Labels
	}
	d.images.put(id, labels)
	return labels, nil
}
