#!/usr/bin/env bash
# Runs the notebooks in order on one profile, or the tests: ./run_all.sh --help
set -euo pipefail
shopt -s nullglob
unset CDPATH
started_in=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
repo=$PWD

say() { printf '== %s\n' "$*"; }
fail() { printf 'run_all.sh: %s\n' "$*" >&2; exit 2; }
minutes() { printf '%d.%d min' $(($1 / 60)) $(($1 % 60 / 6)); }
names() { local f; for f in "$@"; do f=${f##*/}; printf ' %s' "${f%.*}"; done; }
absolute() ( # a folder as the caller of this script names it; it need not exist
  cd "$started_in"
  if [[ -d $1 ]]; then cd "$1" && pwd; elif [[ $1 == /* ]]; then echo "$1"; else echo "$PWD/$1"; fi
)

usage() {
  cat <<'END'
Usage: ./run_all.sh [profile] [options]      run the notebooks in order (profile: demo)
       ./run_all.sh --test [pytest options]  run ruff and the tests

Options:
  --only 07     only this notebook; may be repeated, or a list: --only 01,07
  --fresh       forget finished runs: first removes runs/, outcomes/ and the manifest of the profile; with --only 07
                just runs/07* and outcomes/07*
  --data DIR    where the datasets are (else $FASHION_DATA, else data/)
  --test        ruff and pytest; all that follows is passed on to pytest
  --help        this text

Profiles:
END
  local f
  for f in notebooks/profiles/*.yaml; do
    printf '  %-13s %s\n' "$(basename "$f" .yaml)" "$(sed -n '/^#/{s/^#* *//p;q;}' "$f")"
  done
}

# Prints the first Python that works: a name on the PATH may be too old, or a shim that leads nowhere.
find_python() {
  local name tried=""
  for name in python3.11 python3.12 python3.13 python3 python; do # the tested version first
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"
      return
    fi
    tried+=$("$name" -c 'import sys; print("; %s is %d.%d" % ((sys.argv[1],) + sys.version_info[:2]))' "$name" 2>/dev/null || true)
  done
  fail "needs Python 3.11 or newer with its venv module (Debian: apt install python3-venv); found: ${tried:-; none}"
}

# Sets $python: the active environment's where fashionlib is installed, else that of .venv, which is made once.
choose_python() {
  local wanted base quiet=--quiet marker=.venv/.fashionlib-installed
  local installed='import sys, importlib.util as u; sys.exit(sys.version_info < (3, 11) or not u.find_spec("fashionlib"))'
  # -I, because what merely lies in the current folder or on PYTHONPATH is not installed
  if [[ -n ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} ]] && python -I -c "$installed" 2>/dev/null; then
    python=$(command -v python)
    say "using the active environment: $python"
    return
  fi
  python=$repo/.venv/bin/python
  wanted=$(cat pyproject.toml constraints.txt | cksum)
  if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    [[ ! -f $marker || $(<"$marker") != "$wanted" ]] || return 0
    say "completing .venv: it is unfinished, or pyproject.toml or constraints.txt changed"
  else
    base=$(find_python)
    say "making .venv with $base, this once: some minutes, about 7 GB"
    "$base" -m venv --clear .venv
  fi
  rm -f "$marker" # it says "complete", which .venv is not until pip has ended
  if [[ -t 1 ]]; then quiet=""; fi
  "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip --upgrade >/dev/null
  # uv unpacks and fetches side by side, in a third of pip's time; where it cannot (a mirror that only pip knows), pip does
  local what=(-c constraints.txt -e ".[all]")
  { "$python" -m pip install --no-input $quiet uv &&
    UV_SYSTEM_CERTS=1 "$python" -m uv pip install --python "$python" $quiet "${what[@]}"; } ||
    "$python" -m pip install --no-input --no-compile $quiet "${what[@]}" ||
    fail "the installation did not finish (see pip's message above); run this again to complete .venv"
  printf '%s\n' "$wanted" >"$marker"
}

need() { # modules that an environment made by hand may lack
  "$python" -c 'import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, sys.argv[1:])))' "$@" ||
    fail "$python lacks one of $*; run: $python -m pip install -c constraints.txt -e '.[all]'"
}

profile="" only="" fresh="" testing="" data=${FASHION_DATA:-}
while (($#)); do
  case $1 in
    -h | --help) usage; exit ;;
    --test)
      [[ -z $profile$only$fresh ]] || fail "--test takes no profile, --only or --fresh; what follows it goes to pytest"
      testing=1; shift; break ;;
    --only=* | --data=*) set -- "${1%%=*}" "${1#*=}" "${@:2}"; continue ;;
    --fresh) fresh=1 ;;
    --only) [[ ${2:-} =~ ^[0-9]+(,[0-9]+)*$ ]] || fail "--only needs a notebook's number, such as 07"; only+=,$2; shift ;;
    --data)
      data=$(absolute "${2:-}")
      [[ -n ${2:-} && -d $data ]] || fail "--data needs a folder; there is no '${2:-}'"
      shift ;;
    -*) fail "unknown option $1; there are --only, --fresh, --data, --test and --help" ;;
    *) [[ -z $profile ]] || fail "one profile at a time, not both $profile and $1"; profile=$1 ;;
  esac
  shift
done

if [[ -n $data ]]; then FASHION_DATA=$(absolute "$data") && export FASHION_DATA; fi
profile=${profile:-demo} settings=notebooks/profiles/${profile:-demo}.yaml chosen=()
if [[ -z $testing ]]; then
  [[ -f $settings ]] || fail "unknown profile $profile; there are:$(names notebooks/profiles/*.yaml)"
  for notebook in notebooks/[0-9]*.ipynb; do
    number=${notebook#*/} number=${number%%_*}
    if [[ -z $only || ,$only, == *,"$number",* ]]; then chosen+=("$notebook"); fi
  done
  for number in ${only//,/ }; do
    [[ " ${chosen[*]-}" == *" notebooks/${number}_"* ]] ||
      fail "--only $number: no such notebook; there are:$(names notebooks/[0-9]*.ipynb)"
  done
fi

choose_python
# The code beside this script is what runs, also where another copy of fashionlib is installed.
export PYTHONPATH=$repo:$repo/notebooks${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 NO_ALBUMENTATIONS_UPDATE=1
# Without bytecode every notebook compiles torch and all that it imports anew, which takes as long as its work.
unset PYTHONDONTWRITEBYTECODE
# glibc gives large blocks back when they are freed, and the next step has to ask for them again, page by page: kept, and
# in huge pages, a training step takes three quarters of the time.
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=8589934592:glibc.malloc.trim_threshold=17179869184}
export TQDM_DISABLE=1 # in an executed notebook a progress bar is a dead widget

if [[ -n $testing ]]; then
  need pytest xdist ruff nbclient
  "$python" -m ruff check .
  # A worker a core and one more, for some wait; each with files of its own and one thread: what a test computes does
  # not depend on their number.
  export OMP_NUM_THREADS=1 workers=$(($(getconf _NPROCESSORS_ONLN) + 1))
  "$python" -m pytest -q -n "$workers" --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@"
  say "tests passed in $(minutes $SECONDS)"
  exit
fi

need papermill ipykernel
listed=$("$python" -m study.runner check "$settings") # empty: the profile is for all notebooks
if [[ -n $listed ]]; then
  for notebook in "${!chosen[@]}"; do
    number=${chosen[$notebook]#*/} number=${number%%_*}
    [[ " $listed " == *" $number "* ]] || unset "chosen[$notebook]"
  done
  ((${#chosen[@]})) || fail "profile $profile is for the notebooks $listed only"
fi
# Two of one profile would write into, and clean up, the same folder. The lock belongs to this script's open file 9 and
# ends with it, however it ends.
mkdir -p "results/$profile"
exec 9>>"results/$profile/.lock"
"$python" -c 'import fcntl, sys
try: fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError: sys.exit(1)
except OSError: pass  # a disk without locks' ||
  fail "another run_all.sh is working on results/$profile in this clone; wait until it is done, or stop it"

if [[ -n $fresh ]]; then
  finished=("results/$profile/"{runs,outcomes,manifest.json})
  if [[ -n $only ]]; then # other notebooks' runs may have taken hours: only those named after these, 07*
    finished=()
    for number in ${only//,/ }; do finished+=("results/$profile/"{runs,outcomes}/"$number"*); done
  fi
  say "--fresh: removing ${finished[*]-nothing, no finished run is named after --only}"
  rm -rf ${finished[@]+"${finished[@]}"}
fi

# The kernel named python3 is this interpreter's own, whatever is registered for the user. A foreign
# MPLBACKEND would keep the figures out of the executed notebooks.
JUPYTER_PATH=$("$python" -c 'import sys; print(sys.prefix)')/share/jupyter${JUPYTER_PATH:+:$JUPYTER_PATH}
export JUPYTER_PATH
unset MPLBACKEND
out=results/$profile/notebooks took=""
mkdir -p "$out/.running"
for notebook in "${chosen[@]}"; do
  name=$(basename "$notebook" .ipynb) began=$SECONDS running=$out/.running/$(basename "$notebook")
  say "$name ($profile)"
  rm -f "$running"
  values=$("$python" -m study.runner run "$notebook" -f "$settings" --show) # papermill would show the whole profile
  # What the notebook prints goes to the log as it is; papermill itself speaks up only about errors.
  if "$python" -m papermill "$notebook" "$running" -k python3 --cwd notebooks -y "$values" \
    --no-progress-bar --log-level ERROR --stdout-file - --stderr-file - </dev/null; then
    mv -f "$running" "$out/$name.ipynb"
    rm -f "$out/$name.failed.ipynb"
    took+=", ${name%%_*} $(minutes $((SECONDS - began)))"
    say "$name done in ${took##*, ??[ ]}"
  else
    [[ ! -f $running ]] || mv -f "$running" "$out/$name.failed.ipynb"
    rmdir "$out/.running" 2>/dev/null || true
    fail "$name.ipynb failed on profile $profile; as far as it came: $out/$name.failed.ipynb"
  fi
done
rmdir "$out/.running" 2>/dev/null || true
say "all done in $(minutes $SECONDS)${took/, / (}); results are in results/$profile"
