package allocator_test

import (
	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/migrate"
)

var _ migrate.Claims = (*allocator.Allocator)(nil)
