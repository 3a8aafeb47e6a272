package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
)

// Parts says which files a merged configuration is from.
type Parts struct {
	// Files are the names of the files. The lines of the file with the index N have their number plus
	// N times linesOfFile.
	Files []string
	// Settings are the names of files by the names of the fields of Config that the files set.
	Settings map[string]string
}

// linesOfFile is more than the lines of a file, so that one number has the file and its line.
const linesOfFile = 1 << 24

// Place gives each problem the file where it is, and the number of its line in this file. The order
// of the problems stays.
func (c *Config) Place(problems []Problem) []Problem {
	if c.Parts == nil {
		return problems
	}
	placed := slices.Clone(problems)
	for i, p := range placed {
		if p.Line >= linesOfFile {
			placed[i].File, placed[i].Line = c.origin(p.Line)
		}
	}
	return placed
}

// origin returns the file and the line of a number.
func (c *Config) origin(line int) (file string, of int) {
	if at := line / linesOfFile; c.Parts != nil && at > 0 && at < len(c.Parts.Files) {
		return c.Parts.Files[at], line % linesOfFile
	}
	return c.File, line
}

// place returns "line 3", or "line 3 of web.cf" if the line from is in another file.
func (c *Config) place(line, from int) string {
	file, of := c.origin(line)
	if other, _ := c.origin(from); other != file {
		return fmt.Sprintf("line %d of %s", of, file)
	}
	return fmt.Sprintf("line %d", of)
}

// FileOf returns the name of the file that sets a field of Config.
func (c *Config) FileOf(field string) string {
	if c.Parts == nil {
		return c.File
	}
	return cmp.Or(c.Parts.Settings[field], c.File)
}

// WithLines returns a copy of a configuration whose fields Line have other values.
func WithLines(c *Config, line func(int) int) *Config {
	copied := *c
	relocate(reflect.ValueOf(&copied).Elem(), line)
	return &copied
}

// relocate replaces each field Line in a struct. It copies the slices and the targets of pointers
// that contain structs, so that the original does not change.
func relocate(v reflect.Value, line func(int) int) {
	switch kind := v.Kind(); {
	case kind == reflect.Pointer && !v.IsNil() && v.Type().Elem().Kind() == reflect.Struct:
		copied := reflect.New(v.Type().Elem())
		copied.Elem().Set(v.Elem())
		relocate(copied.Elem(), line)
		v.Set(copied)
	case kind == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct && !v.IsNil():
		copied := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(copied, v)
		for i := range copied.Len() {
			relocate(copied.Index(i), line)
		}
		v.Set(copied)
	case kind == reflect.Struct:
		for i := range v.NumField() {
			field := v.Field(i)
			switch {
			case !field.CanSet():
			case v.Type().Field(i).Name == "Line":
				field.SetInt(int64(line(int(field.Int()))))
			default:
				relocate(field, line)
			}
		}
	}
}
