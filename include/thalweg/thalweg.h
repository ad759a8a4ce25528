/* thalweg.h: everything that libthalweg offers to programs that embed it and to plug-ins. */
#ifndef THALWEG_H
#define THALWEG_H

#include "thalweg/batch.h"
#include "thalweg/format.h"
#include "thalweg/host.h"
#include "thalweg/learner.h"
#include "thalweg/loss.h"
#include "thalweg/options.h"
#include "thalweg/params.h"
#include "thalweg/schema.h"
#include "thalweg/sink.h"
#include "thalweg/solver.h"
#include "thalweg/source.h"
#include "thalweg/status.h"
#include "thalweg/transform.h"

#endif
