//go:build linux

package vfio

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A PageSize is how many hugepages of one size a machine has.
type PageSize struct {
	Bytes       int64
	Total, Free int
}

// The sizes that user space programs take on PCs.
const (
	megabyte = 1 << 20
	gigabyte = 1 << 30
)

// Pages lists the machine's hugepages by size; none where the kernel has none.
func (b *Binder) Pages() ([]PageSize, error) {
	const dir = "sys/kernel/mm/hugepages"
	entries, err := os.ReadDir(b.files.Path(dir))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list hugepages: %w", err)
	}
	var all []PageSize
	for _, e := range entries {
		kilobytes, is := strings.CutPrefix(e.Name(), "hugepages-")
		size, err := strconv.ParseInt(strings.TrimSuffix(kilobytes, "kB"), 10, 64)
		if !is || err != nil {
			continue
		}
		p := PageSize{Bytes: size << 10}
		for file, n := range map[string]*int{"nr_hugepages": &p.Total, "free_hugepages": &p.Free} {
			word, err := b.files.Word(dir, e.Name(), file)
			if err == nil {
				*n, err = strconv.Atoi(word)
			}
			if err != nil {
				return nil, fmt.Errorf("count hugepages: %w", err)
			}
		}
		all = append(all, p)
	}
	return all, nil
}

// CheckPages is ErrNoPages where no hugepage of 2 MB or 1 GB is free, with how to
// reserve some.
func (b *Binder) CheckPages() error {
	pages, err := b.Pages()
	if err != nil {
		return err
	}
	var total int
	for _, p := range pages {
		if p.Bytes != 2*megabyte && p.Bytes != gigabyte {
			continue
		}
		if p.Free > 0 {
			return nil
		}
		total += p.Total
	}
	why := "the machine has reserved none"
	if total > 0 {
		why = fmt.Sprintf("all %d are in use", total)
	}
	return fmt.Errorf("%w of 2 MB or 1 GB are free for its program: %s; reserve some by sysctl -w vm.nr_hugepages=512 (1 GB in pages of 2 MB), "+
		"and in /etc/sysctl.d for the next boot, or by hugepagesz=1G hugepages=4 on the kernel's command line", ErrNoPages, why)
}
