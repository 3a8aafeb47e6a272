// Package report writes an archive with the state of a node, for a report of a bug. It hides
// passwords.
package report

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"
)

// most is the most bytes of one file in the archive. Of a longer text, the end is in the archive.
const most = 2 << 20

// Archive collects texts. The zero value is empty. Its methods must not run at the same time.
type Archive struct {
	names []string
	texts [][]byte
}

// Add adds a text without passwords. Control characters other than line breaks and tabs are
// replaced. If err is not nil, the text ends with the error.
func (a *Archive) Add(name string, text []byte, err error) {
	cut := ""
	if len(text) > most {
		cut = fmt.Sprintf("(the first %d bytes are not in this file)\n", len(text)-most)
		text = text[len(text)-most:]
	}
	shown := cut + Redact(string(text))
	if err != nil {
		shown += "error: " + Redact(err.Error()) + "\n"
	}
	a.names, a.texts = append(a.names, name), append(a.texts, []byte(shown))
}

// Names returns the names of all files in the archive.
func (a *Archive) Names() []string { return a.names }

// Write writes the archive as a tar file, compressed with gzip. All names in it begin with dir.
// Only the owner of the file can read it. The file must not exist yet.
func (a *Archive) Write(file, dir string, now time.Time) (err error) {
	var all bytes.Buffer
	zipped := gzip.NewWriter(&all)
	tarred := tar.NewWriter(zipped)
	for i, name := range a.names {
		header := tar.Header{Name: path.Join(dir, name), Mode: 0o600, Size: int64(len(a.texts[i])), ModTime: now, Typeflag: tar.TypeReg}
		if err := tarred.WriteHeader(&header); err != nil {
			return err
		}
		if _, err := tarred.Write(a.texts[i]); err != nil {
			return err
		}
	}
	if err := errors.Join(tarred.Close(), zipped.Close()); err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Clean(file), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(all.Bytes())
	if err = errors.Join(err, out.Close()); err != nil {
		_ = os.Remove(file)
	}
	return err
}
